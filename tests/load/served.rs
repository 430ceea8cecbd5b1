//! A small server that stands for CloudWatch Logs where lines are read back. Knows only the two calls that verify makes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::{Value, json};

/// Group `g` as DescribeLogStreams and GetLogEvents show it, in pages of two streams and of ten events.
pub struct Served {
    pub streams: Vec<(String, Vec<String>)>,
}

impl Served {
    pub fn new(streams: &[(&str, Vec<u8>)]) -> Served {
        let events = |bytes: &[u8]| String::from_utf8_lossy(bytes).split_terminator('\n').map(str::to_owned).collect();
        Served { streams: streams.iter().map(|(name, bytes)| (name.to_string(), events(bytes))).collect() }
    }

    /// Answers on a port of loopback for as long as the tests run.
    pub fn serve(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in listener.incoming().take(100) {
                self.answer(connection.unwrap());
            }
        });
        url
    }

    /// One request, then the connection is closed.
    fn answer(&self, connection: TcpStream) {
        let mut reader = BufReader::new(&connection);
        let (mut length, mut target) = (0, String::new());
        for line in reader.by_ref().lines() {
            let line = line.unwrap().to_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("x-amz-target", value)) => target = value.to_owned(),
                Some(_) => {}
                None if line.is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request: Value = serde_json::from_slice(&body).unwrap();
        let (status, reply) = match (request["logGroupName"].as_str(), target.as_str()) {
            (Some("g"), "logs_20140328.describelogstreams") => ("200 OK", self.describe(&request)),
            (Some("g"), "logs_20140328.getlogevents") => ("200 OK", self.get(&request)),
            _ => ("400 Bad Request", json!({"__type": "ResourceNotFoundException", "message": "no such group"})),
        };
        let reply = reply.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            reply.len()
        );
        (&connection).write_all((head + &reply).as_bytes()).unwrap();
    }

    fn describe(&self, request: &Value) -> Value {
        let prefix = request["logStreamNamePrefix"].as_str().unwrap_or_default();
        let start: usize = request["nextToken"].as_str().unwrap_or("0").parse().unwrap();
        let names: Vec<&String> = self.streams.iter().map(|(name, _)| name).filter(|n| n.starts_with(prefix)).collect();
        let page: Vec<Value> = names.iter().skip(start).take(2).map(|name| json!({"logStreamName": name})).collect();
        let next = (start + 2 < names.len()).then(|| (start + 2).to_string());
        json!({"logStreams": page, "nextToken": next})
    }

    fn get(&self, request: &Value) -> Value {
        assert_eq!(request["startFromHead"], json!(true));
        let (_, events) = self.streams.iter().find(|(name, _)| request["logStreamName"] == json!(name)).unwrap();
        let start: usize = request["nextToken"].as_str().unwrap_or("f/0").trim_start_matches("f/").parse().unwrap();
        let end = events.len().min(start + 10);
        let page: Vec<Value> = events[start..end]
            .iter()
            .map(|message| json!({"timestamp": 1, "message": message, "ingestionTime": 2}))
            .collect();
        json!({"events": page, "nextForwardToken": format!("f/{end}"), "nextBackwardToken": format!("b/{start}")})
    }
}
