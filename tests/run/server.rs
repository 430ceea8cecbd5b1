//! A server that makes log streams as it should and is hostile to every PutLogEvents, each in its own manner.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::DEADLINE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Stores the events, then closes without an answer.
    Closes,
    /// Stores the events, then says 200 and what is no JSON.
    TalksNonsense,
    /// Stores the events, then answers 200 and goes on for ever.
    NeverStops,
    /// 429, whatever comes.
    Throttles,
    /// Takes the request and says nothing.
    IsSilent,
}

/// An endless answer ends here all the same: a client that takes all of it has failed already, and this machine should
/// not fail with it.
const ENDLESS_BYTES_MAX: u64 = 300_000_000;

#[derive(Default)]
struct Counts {
    puts: AtomicU64,
    stored: AtomicU64,
    answer_bytes: AtomicU64,
    over: AtomicBool,
}

pub struct Server {
    pub url: String,
    address: std::net::SocketAddr,
    counts: Arc<Counts>,
}

impl Server {
    pub fn start(manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counting = counts.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if counting.over.load(Ordering::Relaxed) {
                    return;
                }
                let counts = counting.clone();
                // A client that is gone ends its connection: no error of the test's.
                std::thread::spawn(move || drop(serve(&connection, manner, &counts)));
            }
        });
        Server { url: format!("http://{address}"), address, counts }
    }

    /// PutLogEvents that have come in whole.
    pub fn puts(&self) -> u64 {
        self.counts.puts.load(Ordering::Relaxed)
    }

    /// Events that were stored, each as often as it was.
    pub fn stored(&self) -> u64 {
        self.counts.stored.load(Ordering::Relaxed)
    }

    /// Of endless answers.
    pub fn answer_bytes(&self) -> u64 {
        self.counts.answer_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.counts.over.store(true, Ordering::Relaxed);
        // So that the listening thread looks.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(connection: &TcpStream, manner: Manner, counts: &Counts) -> io::Result<()> {
    connection.set_read_timeout(Some(DEADLINE))?;
    connection.set_write_timeout(Some(DEADLINE))?;
    let mut reader = BufReader::new(connection);
    while let Some((head, body)) = request(&mut reader)? {
        if !head.contains("Logs_20140328.PutLogEvents") {
            answer(connection, "200 OK", b"{}")?;
            continue;
        }
        if matches!(manner, Manner::Closes | Manner::TalksNonsense | Manner::NeverStops) {
            let body: serde_json::Value = serde_json::from_slice(&body).expect("a body is JSON");
            let events = body["logEvents"].as_array().expect("a body has events").len();
            counts.stored.fetch_add(events as u64, Ordering::Relaxed);
        }
        counts.puts.fetch_add(1, Ordering::Relaxed);
        match manner {
            Manner::Closes => return Ok(()),
            Manner::TalksNonsense => answer(connection, "200 OK", b"<html>not for you</html>")?,
            Manner::NeverStops => answer_for_ever(connection, counts)?,
            Manner::Throttles => {
                answer(connection, "429 Too Many Requests", br#"{"__type":"ThrottlingException","message":"slower"}"#)?;
            }
            // Its answer is awaited until it is given up, and the connection with it.
            Manner::IsSilent => {}
        }
    }
    Ok(())
}

/// Head and body; None: the client has closed.
fn request(reader: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

fn answer(mut connection: &TcpStream, status: &str, body: &[u8]) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat())
}

fn answer_for_ever(mut connection: &TcpStream, counts: &Counts) -> io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    connection.write_all(head.as_bytes())?;
    let chunk = [&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat();
    while counts.answer_bytes.fetch_add(0x10000, Ordering::Relaxed) < ENDLESS_BYTES_MAX {
        connection.write_all(&chunk)?;
    }
    Ok(())
}
