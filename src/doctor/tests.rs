//! What is said of what was found, without a network.

use super::service::of_place;
use super::*;
use crate::ship::answer::{Answer, Rejected};
use crate::ship::{Connection, Identity, Inspection};

fn plan(tries: bool) -> Plan {
    Plan {
        commands: 1,
        destined: Vec::new(),
        oddities: Vec::new(),
        specs: Vec::new(),
        checks: Vec::new(),
        listens: Vec::new(),
        engine: EngineWish::Epoll,
        target: Target::default(),
        places: Vec::new(),
        files: None,
        create_group: false,
        spool: None,
        insists_on_spool: false,
        strays: Vec::new(),
        tries,
        json: false,
    }
}

fn good() -> Inspection {
    let identity = Identity { provider: "Environment".into(), key_ends: "demo".into(), expires: None };
    let addresses = Ok(vec!["127.0.0.1:443".parse().unwrap()]);
    Inspection {
        region: Some("eu-west-1".into()),
        credentials: Ok(identity),
        connection: Ok(Connection { url: "https://logs.test".into(), addresses, connected: Ok(()) }),
        answer: Some(Answer::Accepted(Rejected::default())),
        tried: None,
        service_ahead_s: Some(0),
    }
}

fn states(tries: bool, inspection: &Inspection) -> Vec<(&'static str, State)> {
    let place = Address { group: "/g".into(), stream: "s".into(), ..Address::default() };
    of_place(&plan(tries), &place, inspection).iter().map(|finding| (finding.name, finding.state)).collect()
}

#[test]
fn all_is_well() {
    let names = ["clock", "region", "credentials", "endpoint", "service"];
    assert_eq!(states(false, &good()), names.map(|name| (name, State::Ok)));
}

#[test]
fn a_name_that_does_not_resolve_is_a_fault_unless_the_service_answers_all_the_same() {
    let connection = Connection {
        url: "https://logs.test".into(),
        addresses: Err("unknown".into()),
        connected: Err("its name does not resolve".into()),
    };
    let behind_a_proxy = Inspection { connection: Ok(connection), ..good() };
    assert!(states(false, &behind_a_proxy).contains(&("endpoint", State::Warn)));
    let unavailable = Answer::Unavailable { detail: "dns error".into(), lost: false };
    let alone = Inspection { answer: Some(unavailable), ..behind_a_proxy };
    assert!(states(false, &alone).contains(&("endpoint", State::Fail)));
}

#[test]
fn each_answer_has_its_meaning() {
    let denied = |text: &str| Answer::Denied(text.into());
    for (answer, expected) in [
        (Answer::Throttled, State::Ok),
        (denied("AccessDeniedException: not authorized to perform logs:DescribeLogStreams"), State::Ok),
        (denied("UnrecognizedClientException: the token is invalid"), State::Fail),
        (Answer::NotFound("no such group".into()), State::Fail),
        (Answer::Invalid("HTTP 400".into()), State::Fail),
        (Answer::Unavailable { detail: "refused".into(), lost: false }, State::Fail),
    ] {
        let found = Inspection { answer: Some(answer.clone()), tried: Some(answer.clone()), ..good() };
        assert!(states(false, &found).contains(&("service", expected)), "{answer:?}");
        let expected = if answer == Answer::Throttled { State::Warn } else { State::Fail };
        assert!(states(true, &found).contains(&("try", expected)), "{answer:?}");
    }
    assert!(states(true, &good()).contains(&("try", State::Fail)), "it was to be tried, and was not");
    let stored = Inspection { tried: Some(Answer::Accepted(Rejected::default())), ..good() };
    assert!(states(true, &stored).contains(&("try", State::Ok)));
    let too_old = Rejected { too_old_end: Some(1), ..Rejected::default() };
    let refused = Inspection { tried: Some(Answer::Accepted(too_old)), ..good() };
    assert!(states(true, &refused).contains(&("try", State::Fail)));
}

#[test]
fn a_clock_is_held_against_the_services() {
    let state = |ahead_s| machine::clock(Some(ahead_s)).state;
    assert_eq!([0, 5, -5].map(state), [State::Ok; 3]);
    assert_eq!([6, -6, 299].map(state), [State::Warn; 3]);
    assert_eq!([300, -86_400].map(state), [State::Fail; 2]);
    assert!(machine::clock(Some(-60)).text.starts_with("60 s ahead of the service's"));
}

#[test]
fn credentials_that_end_soon_are_worth_a_word() {
    let until = |seconds| {
        let expires = Some(std::time::UNIX_EPOCH + crate::clock::wall() + std::time::Duration::from_secs(seconds));
        let identity = Identity { provider: "ProcessProvider".into(), key_ends: "demo".into(), expires };
        states(false, &Inspection { credentials: Ok(identity), ..good() })
    };
    assert!(until(60).contains(&("credentials", State::Warn)));
    assert!(until(3600).contains(&("credentials", State::Ok)));
}

#[test]
fn text_and_json_say_the_same() {
    let findings = [Finding::ok("one", "is well"), Finding::fail("two", "is not", "mend it")];
    let text = as_text(&findings, false);
    let expected = "ok    one          is well\nfail  two          is not\n                   -> mend it\nlogpump cannot work here as it is asked to\n";
    assert_eq!(text, expected);
    let json: serde_json::Value = serde_json::from_str(&as_json(&findings, false)).unwrap();
    assert_eq!(json["works"], false);
    assert_eq!(json["findings"][0]["remedy"], serde_json::Value::Null);
    assert_eq!(json["findings"][1], json!({ "name": "two", "state": "fail", "text": "is not", "remedy": "mend it" }));
}
