//! Lines as Airflow and its servers write them, by hand, and whatever else a line may be against a naive twin.

use super::*;

fn level(line: &str) -> Option<Level> {
    Level::of_line(line.as_bytes())
}

#[test]
fn airflow_3_lines_have_their_level_in_brackets() {
    for (word, expected) in [
        ("debug    ", Level::Debug),
        ("info     ", Level::Info),
        ("warning  ", Level::Warning),
        ("error    ", Level::Error),
        ("critical ", Level::Critical),
        ("exception", Level::Error),
        ("warning", Level::Warning),
    ] {
        assert_eq!(level(&format!("2026-05-06T01:00:14.610844Z [{word}] text [logger]")), Some(expected));
        assert_eq!(level(&format!("[{word}] text")), Some(expected));
        assert_eq!(level(&format!("2026-05-06 01:00:14 [{word}] text")), Some(expected), "Airflow 3.0");
        let task = format!("2026-11-23 01:25:35.311470+00:00 [{word}] text [logger]");
        assert_eq!(level(&task), Some(expected), "a task of Airflow 3.2's LocalExecutor");
        assert_eq!(level(&format!("2026-05-06 1 o'clock [{word}] text")), None);
        assert_eq!(level(&format!("2026-05-06 01:00:14 text [{word}]")), None);
    }
}

#[test]
fn airflow_2_lines_have_it_behind_their_place() {
    for dash in ["-", "\u{2013}"] {
        for (word, expected) in
            [("DEBUG", Level::Debug), ("INFO", Level::Info), ("WARNING", Level::Warning), ("ERROR", Level::Error)]
        {
            assert_eq!(
                level(&format!("[2025-01-01 00:00:00 +0000] {{module.py:123}} {word} {dash} text")),
                Some(expected)
            );
            assert_eq!(
                level(&format!("[2025-01-01T00:00:00.123+0000] {{module.py:123}} {word} {dash} text")),
                Some(expected)
            );
        }
    }
}

/// Those that have a level were written by Airflow 2.10.5 or 3.0.6, but for the ends of some.
#[test]
fn the_servers_inside_airflow_have_forms_of_their_own() {
    for (line, expected) in [
        ("[2026-11-23 01:50:50 +0000] [30762] [INFO] Handling signal: term", Some(Level::Info)),
        ("[2026-11-23 01:50:50 +0000] [30762] [CRITICAL] WORKER TIMEOUT (pid:31616)", Some(Level::Critical)),
        (
            "[2026-11-23T01:50:24.521+0000] [SOURCE:DAG_PROCESSOR] {processor.py:925} WARNING - DAG(s)",
            Some(Level::Warning),
        ),
        ("INFO:     Uvicorn running on http://127.0.0.1:8080", Some(Level::Info)),
        ("WARNING:  ASGI app factory detected", Some(Level::Warning)),
        ("ERROR:    Exception in ASGI application", Some(Level::Error)),
        ("CRITICAL: it ends", Some(Level::Critical)),
        ("[2026-11-23 05:16:25,233: WARNING/MainProcess] No hostname was supplied.", Some(Level::Warning)),
        ("[2026-11-23 05:16:28,902: INFO/ForkPoolWorker-2] [c7c44c60] Executing", Some(Level::Info)),
        ("[2026-11-23 05:16:28,902: ERROR/ForkPoolWorker-2] Failed to execute task", Some(Level::Error)),
        ("[2026-11-23 05:16:28,902 ERROR/ForkPoolWorker-2] no colon", None),
        ("[2026-11-23 05:16:28,902: ERROR] no process", None),
        ("ERROR: by whom, nobody knows", None),
        ("[2026-11-23 01:50:50 +0000] [30762] [1] [INFO] one bracket more", None),
        ("[2026-11-23 01:50:50 +0000] [30762] INFO - text", None),
        ("127.0.0.1 - - [23/Nov/2026:01:50:50 +0000] \"GET /health HTTP/1.1\" 200", None),
    ] {
        assert_eq!(level(line), expected, "{line}");
    }
}

/// The same by hand, byte by byte: what stands before the level is searched for, whatever its form.
fn naive(line: &[u8]) -> Option<Level> {
    const NAMES: [(&str, Level); 9] = [
        ("debug", Level::Debug),
        ("notset", Level::Debug),
        ("info", Level::Info),
        ("warn", Level::Warning),
        ("warning", Level::Warning),
        ("error", Level::Error),
        ("exception", Level::Error),
        ("critical", Level::Critical),
        ("fatal", Level::Critical),
    ];
    fn until(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
        let at = text.iter().take(96).position(|other| *other == byte)?;
        Some((&text[..at], &text[at + 1..]))
    }
    let named = |name: &[u8]| {
        let name = String::from_utf8_lossy(name.trim_ascii_end()).to_ascii_lowercase();
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, level)| *level)
    };
    let after = |text: &[u8]| text.iter().position(|byte| *byte != b' ').map_or(Vec::new(), |at| text[at..].to_vec());
    if line.first() == Some(&b'[') && line.get(1).is_some_and(u8::is_ascii_digit) {
        let (stamp, behind) = until(&line[1..], b']')?;
        // Celery's level ends with a slash, and begins behind a colon and a space.
        let head = stamp.split(|byte| *byte == b'/').next().filter(|head| head.len() < stamp.len());
        let head = head.map(|head| String::from_utf8_lossy(head).into_owned());
        if let Some((date, word)) = head.as_ref().and_then(|head| head.rsplit_once(' '))
            && date.ends_with(':')
            && let Some(level) = named(word.as_bytes()).filter(|_| word.trim_ascii_end() == word)
        {
            return Some(level);
        }
        let mut place = after(behind);
        for _ in 0..2 {
            if place.first() == Some(&b'[') {
                let (word, behind) = until(&place[1..], b']')?;
                // Only in front of a line's level alone spaces may stand behind it.
                if let Some(level) = named(word).filter(|_| !word.ends_with(b" ") && !word.ends_with(b"\t")) {
                    return Some(level);
                }
                place = after(behind);
            }
        }
        let (_, rest) = until(place.strip_prefix(b"{")?, b'}')?;
        let rest = after(rest);
        let (word, text) = until(&rest, b' ')?;
        let text = after(text);
        let is_dash = text.starts_with(b"-") || text.starts_with("\u{2013}".as_bytes());
        let is_word = !word.ends_with(b"\t");
        return if is_dash && is_word { named(word) } else { None };
    }
    let bracket = if line.first().is_some_and(u8::is_ascii_digit) {
        let (stamp, rest) = until(line, b' ')?;
        let year = stamp.get(..4)?;
        if stamp.len() < 8 || stamp[4] != b'-' || !year.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let rest = after(rest);
        let is_time = rest.len() > 2 && rest[..2].iter().all(u8::is_ascii_digit) && rest[2] == b':';
        if is_time { after(until(&rest, b' ')?.1) } else { rest }
    } else if line.first().is_some_and(u8::is_ascii_uppercase) {
        let text = String::from_utf8_lossy(line.get(..10)?).into_owned();
        return NAMES
            .iter()
            .find(|(name, _)| text == format!("{:<10}", format!("{}:", name.to_uppercase())))
            .map(|(_, level)| *level);
    } else {
        line.to_vec()
    };
    named(until(bracket.strip_prefix(b"[")?, b']')?.0)
}

#[test]
fn a_level_that_is_found_by_its_place_is_the_one_that_a_search_finds() {
    let mut lines = Vec::new();
    for word in ["debug", "info", "warning", "error", "critical", "exception", "warn", "fatal", "notset", "loud"] {
        let upper = word.to_uppercase();
        lines.push(format!("2026-05-06T01:00:14.610844Z [{word:<9}] text [logger]"));
        lines.push(format!("2026-05-06T01:00:14.610844Z [{word}] t"));
        lines.push(format!("2026-05-06T01:00:14Z   [{upper}]"));
        lines.push(format!("[{word:<9}] text"));
        lines.push(format!("2026-05-06 01:00:14 [{word:<9}] text"));
        lines.push(format!("2026-11-23 01:25:35.311470+00:00 [{word}] t"));
        lines.push(format!("[2026-11-23 01:50:50 +0000] [30762] [{upper}] text"));
        lines.push(format!("[2026-11-23T01:50:24.521+0000] [SOURCE:DAG_PROCESSOR] {{a.py:925}} {upper} - text"));
        lines.push(format!("{:<10}text", format!("{upper}:")));
        lines.push(format!("[2026-11-23 05:16:25,233: {upper}/MainProcess] [1] text"));
        for date in ["2025-01-01T00:00:00.123+0000", "2025-01-01T00:00:00.123-0530", "2025-01-01 00:00:00 +0000"] {
            lines.push(format!("[{date}] {{taskinstance.py:1234}} {upper} - text"));
            lines.push(format!("[{date}] {{a.py:1}} {word}  \u{2013} text"));
        }
    }
    let mut seen = 0;
    for line in lines {
        let line = line.as_bytes();
        for at in 0..line.len() {
            assert_eq!(Level::of_line(&line[..at]), naive(&line[..at]), "{:?}", String::from_utf8_lossy(line));
            for byte in *b" []{}-xI9/\t\0\xE2" {
                for kept in [at, at + 1] {
                    let other = [&line[..at], &[byte], &line[kept..]].concat();
                    seen += u32::from(Level::of_line(&other).is_some());
                    assert_eq!(Level::of_line(&other), naive(&other), "{:?}", String::from_utf8_lossy(&other));
                }
            }
        }
    }
    assert!(seen > 10_000, "{seen} lines had a level");
}

#[test]
fn whatever_else_a_line_begins_with_it_has_no_level() {
    for line in [
        "",
        "[",
        "[]",
        "[x] text",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in <module>",
        "WARNING - text",
        "[warning text",
        "[2025-01-01 00:00:00 +0000] {module.py:123} WARNING text",
        "[2025-01-01 00:00:00 +0000] WARNING - text",
        "[2025-01-01 00:00:00 +0000] {module.py:123} LOUD - text",
        "12 [warning] text",
        "2026-05-06T01:00:14.610844Z warning text",
        "2026-05-06T01:00:14.610844Z [warning",
        "ValueError: [error] inside",
    ] {
        assert_eq!(level(line), None, "{line:?}");
    }
    assert_eq!(level(&format!("[{} warning]", " ".repeat(200))), None);
}
