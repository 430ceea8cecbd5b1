//! The joining by hand, and held against what came in.

use proptest::prelude::*;

use super::*;
use crate::clock;

const READ_MS: i64 = 1_700_000_000_000;

/// What packs, by hand: the events of these lines, a blank one that is by itself as nothing.
fn joined(joiner: &mut Joiner, lines: &[&str]) -> Vec<String> {
    let mut events = Vec::new();
    let seen = Seen { read_ms: READ_MS, now: clock::now() };
    let flush = |joiner: &mut Joiner, events: &mut Vec<String>| {
        if let Some(waiting) = joiner.waiting() {
            events.push(waiting.record.text.to_owned());
            joiner.clear();
        }
    };
    for text in lines {
        let record = record(text);
        let fate = joiner.fate(&record, text, seen.read_ms);
        if fate.joins() {
            joiner.join(fate, &record, text, seen);
            continue;
        }
        flush(joiner, &mut events);
        if fate.begins() {
            joiner.begin(fate, &record, text, seen);
        } else if !text.is_empty() {
            events.push((*text).to_owned());
        }
    }
    flush(joiner, &mut events);
    events
}

fn record(text: &str) -> Record<'_> {
    Record { text, raw_bytes: text.len() as u32 + 1, line: 0, begins: true, ends: true }
}

/// The events of a text, each as its lines joined by `|`.
fn events(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    joined(&mut Joiner::new(), &lines).iter().map(|event| event.replace('\n', "|")).collect()
}

#[test]
fn a_traceback_goes_with_the_line_with_a_level_above_it() {
    let text = "[2025-01-01T00:00:00.123+0000] {m.py:1} ERROR - boom\n\
                Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    1/0\n    ~^~\n\
                ZeroDivisionError: division by zero\n[2025-01-01T00:00:00.124+0000] {m.py:2} INFO - next\n\
                2026-05-06T01:00:14.610844Z [info     ] and on\n";
    let expected = [
        "[2025-01-01T00:00:00.123+0000] {m.py:1} ERROR - boom|Traceback (most recent call last):|  \
         File \"a.py\", line 1, in <module>|    1/0|    ~^~|ZeroDivisionError: division by zero",
        "[2025-01-01T00:00:00.124+0000] {m.py:2} INFO - next",
        "2026-05-06T01:00:14.610844Z [info     ] and on",
    ];
    assert_eq!(events(text), expected);
}

#[test]
fn what_is_no_traceback_stays_as_it_is() {
    for text in [
        "[error] a\nplain\n  indented\n[error] b\n",
        "plain\n  indented\n\tmore\n",
        "ValueError: x\nTraceback (most recent call last)\n",
        "During handling of the above exception, another exception occurred:\n",
    ] {
        assert_eq!(events(text), text.lines().collect::<Vec<_>>());
    }
    assert_eq!(events("\n\na\n\n"), ["a"]);
}

#[test]
fn exceptions_of_a_chain_are_one_event_and_a_second_traceback_is_another() {
    let one = "Traceback (most recent call last):\n  File\nValueError: a\n";
    for chain in CHAINS {
        let text = format!("{one}\n{chain}\n\n{one}\n{chain}\n\n{one}");
        assert_eq!(events(&text), [text.trim_end().replace('\n', "|")]);
    }
    assert_eq!(events(&format!("{one}{one}")), [one.trim_end().replace('\n', "|"), one.trim_end().replace('\n', "|")]);
    // The header has it in its own line.
    assert_eq!(events("[error] Traceback (most recent call last):\n  File\nE: x\n").len(), 1);
}

#[test]
fn the_rest_of_a_message_and_notes_belong_to_it_blank_lines_behind_it_do_not() {
    let text = "Traceback (most recent call last):\n  File\nsqlalchemy.exc.Error: (x) no\n\tIs it up?\n\n[SQL: SELECT 1]\na note\n";
    assert_eq!(events(text), [text.trim_end().replace('\n', "|")]);
    assert_eq!(events("Traceback (most recent call last):\n  File\nE: x\n\n\n\nplain\n")[1..], ["plain"]);
    let tail: String = (0..20).map(|nth| format!("plain {nth}\n")).collect();
    let found = events(&format!("Traceback (most recent call last):\n  File\nE: x\n{tail}"));
    assert_eq!((found.len(), &found[1][..]), (1 + 4, "plain 16"), "{found:?}");
}

#[test]
fn an_exception_group_is_one_event() {
    let text = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 15, in <module>\n\
                \x20 | ExceptionGroup: eg (2 sub-exceptions)\n  +-+---------------- 1 ----------------\n\
                \x20   | ValueError: 1\n    +---------------- 2 ----------------\n    | TypeError: t\n\
                \x20   +------------------------------------\n";
    let found = events(&format!("[error] x\n{text}after\n"));
    assert_eq!(found, [format!("[error] x|{}", text.trim_end().replace('\n', "|")), "after".to_owned()]);
}

#[test]
fn what_does_not_fit_goes_on_in_another_event() {
    let mut joiner = Joiner::new();
    joiner.limit(0);
    let frame = format!("  {}", "f".repeat(998));
    let lines = [&["Traceback (most recent call last):"], &vec![&frame[..]; 9][..], &["E: x"]].concat();
    let found = joined(&mut joiner, &lines);
    let lengths: Vec<_> = found.iter().map(String::len).collect();
    assert_eq!(lengths, [34 + 4 * 1001, 4 * 1001 - 1, 1001 + 4]);
    assert_eq!(found.join("\n"), lines.join("\n"));
    assert!(joiner.allocated_bytes() <= JOIN_BYTES_MIN);
}

#[test]
fn of_a_long_event_that_was_packed_little_memory_is_kept() {
    let mut joiner = Joiner::new();
    let frame = format!("  {}", "f".repeat(998));
    let lines = [&["Traceback (most recent call last):"], &vec![&frame[..]; 20][..], &["E: x"]].concat();
    let found = joined(&mut joiner, &lines);
    assert_eq!((found.len(), found[0].len()), (1, 34 + 20 * 1001 + 5));
    assert!(joiner.allocated_bytes() <= JOIN_BYTES_MIN, "{} B", joiner.allocated_bytes());
}

#[test]
fn a_line_that_comes_late_or_behind_what_is_missing_begins_anew() {
    let now = clock::now();
    let (header, first) = (record("[error] x"), record("Traceback (most recent call last):"));
    let waiting = |read_ms| {
        let mut joiner = Joiner::new();
        let fate = joiner.fate(&header, header.text, read_ms);
        joiner.begin(fate, &header, header.text, Seen { read_ms, now });
        joiner
    };
    let wait_ms = JOIN_WAIT.as_millis() as i64;
    let mut joiner = waiting(READ_MS);
    assert!(joiner.fate(&first, first.text, READ_MS + wait_ms - 1).joins());
    assert!(joiner.fate(&first, first.text, READ_MS + wait_ms).begins());
    joiner.seal();
    assert!(joiner.fate(&first, first.text, READ_MS).begins() && joiner.is_over(now, READ_MS));

    let joiner = waiting(READ_MS);
    assert!(!joiner.is_over(now, READ_MS));
    assert!(joiner.is_over(now + JOIN_WAIT, READ_MS) && joiner.is_over(now, READ_MS + wait_ms));
    // A clock that is set back does not make it wait for ever.
    assert!(!joiner.is_over(now, READ_MS - 1_000_000) && joiner.is_over(now + JOIN_WAIT, READ_MS - 1_000_000));
}

#[test]
fn a_join_that_goes_on_and_on_is_not_waited_for() {
    let start = clock::now();
    let mut joiner = Joiner::new();
    let (first, frame) = (record("Traceback (most recent call last):"), record("  File"));
    let fate = joiner.fate(&first, first.text, READ_MS);
    joiner.begin(fate, &first, first.text, Seen { read_ms: READ_MS, now: start });
    let mut now = start;
    while now < start + JOIN_OPEN_MAX - JOIN_WAIT {
        assert!(!joiner.is_over(now, READ_MS));
        now += JOIN_WAIT / 2;
        let fate = joiner.fate(&frame, frame.text, READ_MS);
        joiner.join(fate, &frame, frame.text, Seen { read_ms: READ_MS, now });
    }
    assert!(joiner.is_over(start + JOIN_OPEN_MAX, READ_MS));
}

#[test]
fn pieces_of_a_long_line_are_never_joined() {
    let mut joiner = Joiner::new();
    joined(&mut joiner, &[]);
    let piece = Record { ends: false, ..record("Traceback (most recent call last):") };
    let fate = joiner.fate(&piece, piece.text, READ_MS);
    assert!(!fate.joins() && !fate.begins());
}

fn some_line() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in f",
        "    call()",
        "ValueError: x",
        CHAINS[0],
        CHAINS[1],
        "[error] header",
        "[info     ] header",
        "2026-05-06T01:00:14.610844Z [error    ] Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        "  | ValueError: 1",
        "plain",
    ]);
    let long = (1500..2500_usize, any::<bool>());
    let long = long.prop_map(|(bytes, indented)| format!("{}{}", if indented { " " } else { "" }, "x".repeat(bytes)));
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => long]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Every line that is not blank stands in one event, in order, and no event is longer than it may be, unless it is a
    /// line by itself.
    #[test]
    fn joining_loses_nothing_and_changes_no_order(lines in prop::collection::vec(some_line(), 0..60), limit in 0_usize..8192) {
        let mut joiner = Joiner::new();
        joiner.limit(limit);
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let found = joined(&mut joiner, &lines);
        let said = |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
        let came: Vec<_> = lines.iter().flat_map(|line| said(line)).collect();
        prop_assert_eq!(found.iter().flat_map(|event| said(event)).collect::<Vec<_>>(), came);
        for event in &found {
            prop_assert!(!event.contains('\n') || event.len() <= limit.max(JOIN_BYTES_MIN));
            prop_assert!(!event.ends_with('\n') && !event.starts_with('\n'), "{:?}", event);
        }
        prop_assert_eq!(joiner.held(), Held::default());
    }
}
