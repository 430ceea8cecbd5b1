//! A segment of the spool that is cut, overwritten or appended to: every record that is as it was is delivered, and no other;
//! the rest is kept, named and counted.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::Value;

use crate::outage::free_address;
use crate::program::GROUP;
use crate::spool::{adopter, copied, files, found_in_stream, leave};
use crate::standin::Standin;

type Damage = Box<dyn Fn(&mut Vec<u8>)>;

/// A record of a segment, as it looks from outside: it begins with the magic bytes, and ends where the next begins.
struct Record {
    bytes: Range<usize>,
    /// Where what follows the name of its stream begins.
    head_end: usize,
    /// The sequences of its lines.
    lines: Vec<u64>,
}

fn records(segment: &[u8], stream: &str) -> Vec<Record> {
    let places = |within: Range<usize>, text: &[u8]| -> Vec<usize> {
        within.clone().filter(|at| segment[*at..within.end].starts_with(text)).collect()
    };
    let mut ends = places(0..segment.len(), b"\xFFlpspool");
    ends.push(segment.len());
    let record = |bytes: Range<usize>| {
        let head_end = places(bytes.clone(), stream.as_bytes())[0] + stream.len();
        let payload: Value = serde_json::from_slice(&segment[places(bytes.clone(), b"{\"log")[0]..bytes.end]).unwrap();
        let lines = payload["logEvents"].as_array().unwrap().iter().map(|event| sequence(&event["message"]));
        Record { lines: lines.collect(), bytes, head_end }
    };
    ends.windows(2).map(|ends| record(ends[0]..ends[1])).collect()
}

fn sequence(message: &Value) -> u64 {
    message.as_str().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// What of a damaged segment is to be adopted, and the sequences of what is to be delivered: all records that are as they
/// were, and no other. One whose head alone is as it was says how many lines are lost with it.
fn expected(whole: &[u8], records: &[Record], damaged: &[u8]) -> (u64, Vec<u64>) {
    let (mut adopted, mut delivered) = (0, Vec::new());
    for Record { bytes, head_end, lines } in records {
        let is_here = damaged.len() >= bytes.end;
        if is_here && damaged[bytes.start..*head_end] == whole[bytes.start..*head_end] {
            adopted += lines.len() as u64;
        }
        if is_here && damaged[bytes.clone()] == whole[bytes.clone()] {
            delivered.extend(lines);
        }
    }
    // They are stored in another order than they were written: what a call has in its hands then is stored on its own.
    delivered.sort_unstable();
    (adopted, delivered)
}

#[test]
fn of_a_damaged_segment_all_that_is_readable_is_delivered_and_the_rest_kept_named_and_counted() {
    const LEFT: u64 = 20_000;
    let (place, address) = (tempfile::tempdir().unwrap(), free_address());
    leave(&address, place.path(), "left", LEFT);
    let pristine = fs::read(&files(place.path(), ".seg")[0]).unwrap();
    let whole = pristine.len() as u64;
    let own_records = records(&pristine, "left");
    assert!(own_records.len() > 3 && own_records.iter().map(|record| record.lines.len() as u64).sum::<u64>() == LEFT);
    let cut = |at: u64| move |bytes: &mut Vec<u8>| bytes.truncate(at as usize);
    let flip = |at: u64| move |bytes: &mut Vec<u8>| bytes[at as usize] ^= 0x55;
    let mut damages: Vec<Damage> = Vec::new();
    for part in 1..6 {
        // Not only at round places.
        damages.push(Box::new(cut(whole * part / 6 + part * 7)));
        damages.push(Box::new(flip(whole * part / 6 + part * 11)));
    }
    // A head, tables and a payload in the midst; the first byte of one, and the last.
    let Record { bytes, head_end, .. } = &own_records[1];
    for at in [bytes.start + 50, head_end + 1, (head_end + bytes.end) / 2, bytes.start, bytes.end - 1] {
        damages.push(Box::new(flip(at as u64)));
    }
    // Where one ends, nothing is torn, and nobody can know what stood behind it.
    damages.push(Box::new(cut(bytes.end as u64 + 1)));
    damages.push(Box::new(cut(whole - 1)));
    damages.push(Box::new(flip(0)));
    damages.push(Box::new(|bytes| bytes.fill(0)));
    damages.push(Box::new(|bytes| bytes.extend_from_slice(b"what nobody wrote")));
    for (index, damage) in damages.iter().enumerate() {
        let damaged = tempfile::tempdir().unwrap();
        copied(place.path(), damaged.path());
        let [segment] = &files(damaged.path(), ".seg")[..] else { panic!("one segment is expected") };
        let mut bytes = fs::read(segment).unwrap();
        damage(&mut bytes);
        let (adopted_lines, delivered_lines) = expected(&pristine, &own_records, &bytes);
        fs::write(segment, bytes).unwrap();
        let standin = Standin::start_at(&address, &["--group", GROUP]);
        let ended = adopter("auto", &standin.url, damaged.path()).command(&["echo", "own"]).run();
        let state = format!("damage {index}: {:#}\n{}", ended.report["total"], ended.said);
        assert_eq!(ended.code, Some(0), "{state}");
        let [adopted, delivered, unreadable] =
            ["/adopted", "/delivered", "/dropped/unreadable"].map(|end| ended.total(end).0);
        // And one of its own.
        let found = [adopted, delivered - 1, unreadable];
        let delivered_count = delivered_lines.len() as u64;
        assert_eq!(found, [adopted_lines, delivered_count, adopted_lines - delivered_count], "{state}");
        assert!(ended.said.contains("bytes that cannot be read, and keeps them"), "{state}");
        assert!(!files(damaged.path(), ".aside").is_empty(), "{state}");
        assert_eq!(files(damaged.path(), ".seg"), Vec::<PathBuf>::new(), "{state}");
        let events = standin.stats()["events"].as_u64().unwrap();
        assert_eq!(events, delivered, "{state}");
        if delivered > 1 {
            assert!(found_in_stream(&standin, "left") == delivered_lines, "{state}");
        }
    }
}
