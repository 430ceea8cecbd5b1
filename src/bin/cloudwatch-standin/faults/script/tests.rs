//! Scripts, right and wrong, and what is read in them.

use super::*;

fn one(script: &str) -> Fault {
    let mut faults = parse(script).unwrap_or_else(|wrong| panic!("{script}: {wrong}"));
    assert_eq!(faults.len(), 1, "{script}");
    faults.remove(0)
}

fn wrong(script: &str) -> String {
    parse(script).expect_err(script).to_string()
}

const ALWAYS: When = When { pick: Pick::All, calls_max: None, from: Duration::ZERO, until: None };

#[test]
fn a_name_alone_hits_every_put_log_events() {
    let fault = one("lost");
    assert_eq!(
        (fault.kind, fault.operation, fault.stream, fault.when),
        (Kind::Lost, Operation::Named("PutLogEvents"), None, ALWAYS)
    );
}

#[test]
fn options_say_which_calls_and_when() {
    let fault = one("500:from=2s,for=5s,calls=7,every=3,op=CreateLogStream,stream=app 1");
    let when = When {
        pick: Pick::Every(3),
        calls_max: Some(7),
        from: Duration::from_secs(2),
        until: Some(Duration::from_secs(7)),
    };
    assert_eq!((fault.when, fault.operation), (when, Operation::Named("CreateLogStream")));
    assert_eq!(fault.stream.as_deref(), Some("app 1"));
    assert_eq!(one("lost:rate=0.25").when.pick, Pick::Rate { rate: 0.25, seed: 1 });
    assert_eq!(one("lost:seed=9,rate=1").when.pick, Pick::Rate { rate: 1.0, seed: 9 });
    assert_eq!(one("denied:op=any").operation, Operation::Any);
}

#[test]
fn values_of_the_faults_own() {
    let kind = |script: &str| one(script).kind;
    assert_eq!(kind("quota:5000"), Kind::Quota { calls_per_s: 5000.0, burst: 5000.0 });
    assert_eq!(kind("quota:5000,burst=1"), Kind::Quota { calls_per_s: 5000.0, burst: 1.0 });
    assert_eq!(kind("latency:25ms"), Kind::Latency(Duration::from_millis(25)));
    assert_eq!(kind("slow:10KiB"), Kind::Slow { bytes_per_s: 10_240 });
    assert_eq!(kind("413:1MiB"), Kind::TooLarge { bytes_max: 1_048_576 });
    assert_eq!(kind("502"), Kind::Proxy { status: 502, html: false });
    assert_eq!(kind("502:html"), Kind::Proxy { status: 502, html: true });
    assert_eq!(kind("200"), Kind::Proxy { status: 200, html: false });
    assert_eq!(kind("reject:old=1,new=2"), Kind::Reject(Reject { old: 1, expired: 0, new: 2 }));
    for script in ["invalid:BAD", "invalid:text=BAD", "invalid:\"BAD\""] {
        assert_eq!(kind(script), Kind::Invalid { text: "BAD".to_owned() }, "{script}");
    }
    assert_eq!(kind("invalid:text=\" a;b,c=d \""), Kind::Invalid { text: " a;b,c=d ".to_owned() });
}

#[test]
fn stored_puts_a_refusal_behind_the_deed() {
    for (script, stage) in [
        ("reset", Stage::Arrival),
        ("reset:stored", Stage::Answer),
        ("500", Stage::Call),
        ("500:stored,calls=2", Stage::Answer),
        ("502:html,stored", Stage::Answer),
        ("hang:stored", Stage::Answer),
        ("lost", Stage::Answer),
        ("slow:1", Stage::Arrival),
        ("tls-hang", Stage::Connection),
    ] {
        assert_eq!(one(script).stage(), stage, "{script}");
    }
}

#[test]
fn faults_stand_between_semicolons_or_on_lines_with_comments() {
    let faults = parse("# all of it\n throttle:rate=0.5 ;hang:calls=3;\n\n  # no more\nlost:every=10\n").unwrap();
    let texts: Vec<_> = faults.iter().map(|fault| fault.text.as_str()).collect();
    assert_eq!(texts, ["throttle:rate=0.5", "hang:calls=3", "lost:every=10"]);
    assert_eq!(parse(" \n;;\n"), Ok(Vec::new()));
}

#[test]
fn an_error_says_what_where_and_why() {
    assert_eq!(
        wrong("lost\n  hang; ä; throttle:calls=3, rate=2"),
        format!("fault script, line 2, column 9, `ä`: no such fault; there are {}", NAMES.join(", "))
    );
    assert_eq!(
        wrong("lost\n  hang; throttle:calls=3, rate=2"),
        "fault script, line 2, column 27, `rate=2`: a probability is from 0 to 1, as in rate=0.5"
    );
    assert_eq!(wrong("latency"), "fault script, line 1, column 1, `latency`: needs a value, as in latency:25ms");
}

#[test]
fn bad_scripts_are_refused_with_their_reason() {
    for (script, reason) in [
        ("hang:3", "has no such option"),
        ("hang:often=3", "has no such option"),
        ("hang:calls", "has no such option"),
        ("hang:", "without a value"),
        ("hang:calls=", "without a value"),
        ("hang:calls=0", "at least 1"),
        ("hang:calls=-1", "not a whole number"),
        ("hang:calls=1,calls=2", "given twice"),
        ("hang:for=5", "as in 25ms or 2s"),
        ("hang:op=Put", "no such operation"),
        ("hang:rate=NaN", "from 0 to 1"),
        ("hang:rate=0.5,every=2", "give one of them"),
        ("hang:seed=2", "a seed is of rate="),
        ("lost:stored", "stands alone, and only with"),
        ("hang:stored=yes", "stands alone, and only with"),
        ("quota:0", "at least 1"),
        ("quota:5,rate=0.5", "leave rate= and every= out"),
        ("slow:fast", "as in slow:10KiB"),
        ("slow:1KiB,stream=s", "leave stream= out"),
        ("reset:stream=s", "leave stream= out"),
        ("tls-hang:op=any", "has no such option"),
        ("invalid:\"\"", "in every message"),
        ("invalid:a=b", "needs a value"),
        ("invalid:\"a", "not closed"),
        ("invalid:BAD,op=any", "leave op= out"),
        ("reject", "says not what"),
        ("missing:table", "as in missing:group"),
        ("502:json", "as in 502:html"),
    ] {
        let message = wrong(script);
        assert!(message.contains(reason), "{script}: {message}");
    }
}

#[test]
fn the_examples_of_the_help_are_scripts() {
    let examples = super::super::HELP.split("Examples:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert!(super::super::HELP.lines().all(|line| line.chars().count() <= 98));
    let faults = parse(&examples.replace("  ", "\n")).unwrap();
    assert_eq!(faults.len(), 9);
}
