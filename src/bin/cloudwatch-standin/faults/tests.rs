//! Which calls faults hit, and what comes of it.

use super::*;

const BODY: &[u8] = br#"{"logGroupName":"g","logStreamName":"s","logEvents":[
    {"timestamp":1,"message":"a\tb"},{"timestamp":1,"message":"has \u0042AD in it"}]}"#;

struct Run {
    faults: Faults,
    begun: Instant,
}

impl Run {
    fn new(script: &str) -> Run {
        let begun = Instant::now();
        Run { faults: Faults::new(parse_script(script).unwrap(), begun), begun }
    }

    /// PutLogEvents, so many milliseconds after the beginning.
    fn put(&mut self, at_ms: u64) -> Effects {
        let seen = Seen { operation: Some("PutLogEvents"), wire_bytes: 100, body: BODY };
        self.call(&seen, at_ms)
    }

    fn call(&mut self, seen: &Seen, at_ms: u64) -> Effects {
        let now = self.begun + Duration::from_millis(at_ms);
        let mut effects = self.faults.at_arrival(seen.operation, now);
        self.faults.at_call(seen, now, &mut effects);
        self.faults.at_answer(seen, now, &mut effects);
        effects
    }

    /// Whether each of so many calls was hit.
    fn pattern(&mut self, calls: u64) -> String {
        (0..calls).map(|_| if self.put(0).end.is_some() { 'x' } else { '.' }).collect()
    }
}

#[test]
fn calls_and_every_count_the_calls_that_fit() {
    assert_eq!(Run::new("hang:calls=3").pattern(6), "xxx...");
    assert_eq!(Run::new("hang:every=3").pattern(7), "..x..x.");
    assert_eq!(Run::new("hang:every=3,calls=1").pattern(7), "..x....");
    assert_eq!(Run::new("hang:stream=other").pattern(2), "..");
    assert_eq!(Run::new("hang:stream=s,op=any").pattern(2), "xx");
    assert_eq!(Run::new("hang:op=CreateLogStream").pattern(2), "..");
    let stream = Seen {
        operation: Some("CreateLogStream"),
        wire_bytes: 0,
        body: br#"{"logGroupName":"g","logStreamName":"s"}"#,
    };
    assert_eq!(Run::new("hang:op=CreateLogStream,stream=s").call(&stream, 0).end, Some(End::Hang));
    let group = Seen { operation: Some("CreateLogGroup"), wire_bytes: 0, body: br#"{"logGroupName":"g"}"# };
    assert_eq!(Run::new("hang:op=any,stream=s").call(&group, 0).end, None);
    assert_eq!(Run::new("hang:op=any").call(&group, 0).end, Some(End::Hang));
}

#[test]
fn a_rate_is_the_same_in_every_run_and_another_with_another_seed() {
    let pattern = Run::new("hang:rate=0.3").pattern(1000);
    assert_eq!(Run::new("hang:rate=0.3").pattern(1000), pattern);
    assert_ne!(Run::new("hang:rate=0.3,seed=2").pattern(1000), pattern);
    let hits = pattern.matches('x').count();
    assert!((250..350).contains(&hits), "{hits}");
    assert_eq!(Run::new("hang:rate=0").pattern(9), ".........");
    assert_eq!(Run::new("hang:rate=1").pattern(3), "xxx");
}

#[test]
fn from_and_for_bound_the_time_and_a_new_script_begins_anew() {
    let mut run = Run::new("hang:from=2s,for=5s");
    let hit: Vec<bool> = [0, 1999, 2000, 6999, 7000].map(|at| run.put(at).end.is_some()).into();
    assert_eq!(hit, [false, false, true, true, false]);
    let later = run.begun + Duration::from_millis(7000);
    assert!(run.faults.told(later)[0].over);
    run.faults.set(parse_script("lost:for=1s").unwrap(), later);
    assert_eq!(run.put(7500).end, Some(End::Close));
    assert_eq!(run.put(8000).end, None);
    assert_eq!(run.faults.hits(), &BTreeMap::from([("hang", 2), ("lost", 1)]));
}

#[test]
fn a_quota_lets_its_burst_pass_at_once_and_then_its_rate() {
    let mut run = Run::new("quota:10,burst=3");
    let passed = |run: &mut Run, at: u64| (0..20).filter(|_| run.put(at).end.is_none()).count();
    // Then 100 ms a call, and never more than the burst.
    assert_eq!([0, 99, 100, 450, 60_000].map(|at| passed(&mut run, at)), [3, 0, 1, 3, 3]);
    let told = run.faults.told(run.begun);
    assert_eq!((told[0].calls, told[0].hits), (100, 90));
}

#[test]
fn the_first_decides_and_latency_slow_and_reject_go_together() {
    let mut run = Run::new("latency:5ms; slow:10; reject:new=1; latency:2ms; lost:calls=1; bad-json");
    let effects = run.put(0);
    assert_eq!((effects.delay, effects.bytes_per_s), (Duration::from_millis(7), Some(10)));
    assert_eq!((effects.reject, effects.end), (Reject { old: 0, expired: 0, new: 1 }, Some(End::Close)));
    assert_eq!(run.put(0).end, Some(End::BadJson));
    // What a refusal kept from being asked did not count.
    let hits: Vec<u64> = run.faults.told(run.begun).iter().map(|told| told.hits).collect();
    assert_eq!(hits, [2, 2, 2, 2, 1, 1]);
}

#[test]
fn invalid_looks_at_messages_without_their_escapes_and_413_at_the_size() {
    let kind = |effects: Effects| match effects.end {
        Some(End::Refuse(failure)) => failure.status,
        None => 200,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(Run::new("invalid:BAD").put(0)), 400);
    assert_eq!(kind(Run::new("invalid:\"a\tb\"").put(0)), 400);
    assert_eq!(kind(Run::new("invalid:logStreamName").put(0)), 200);
    assert_eq!(kind(Run::new("413:99").put(0)), 413);
    assert_eq!(kind(Run::new("413:100").put(0)), 200);
}

#[test]
fn a_handshake_hangs_by_connection() {
    let mut run = Run::new("tls-hang:calls=1; hang:op=any");
    assert!(run.faults.hangs_handshake(run.begun));
    assert!(!run.faults.hangs_handshake(run.begun));
    assert_eq!(run.put(0).end, Some(End::Hang));
}
