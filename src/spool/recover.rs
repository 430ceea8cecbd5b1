//! Reading a segment that may be torn, flipped, zeroed or foreign: what is a record stays one, the rest is damage.
//! Pure; every step goes forward, so it ends on any bytes.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::entry::Entry;
use super::record::{self, File, Head, MAGIC, NoHead};

/// What stands at a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    Record(Head),
    Damage(Why),
    /// Look again with more bytes.
    Short,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Torn,
    Damaged,
    Foreign(u16),
}

impl Why {
    pub fn text(self) -> String {
        match self {
            Why::Torn => "a record that was not written to its end".into(),
            Why::Damaged => "no record".into(),
            Why::Foreign(version) => format!("a record of version {version}, of another logpump"),
        }
    }
}

/// `bytes` stand `at` in a `file` of `length` bytes.
pub fn look(bytes: &[u8], file: File, at: u64, length: u64) -> Look {
    match record::head(bytes, file, at) {
        Ok(head) if at + head.total_bytes() <= length => Look::Record(head),
        Ok(_) => Look::Damage(Why::Torn),
        Err(NoHead::Short) if at + (bytes.len() as u64) < length => Look::Short,
        Err(NoHead::Short) => Look::Damage(Why::Torn),
        Err(NoHead::Wrong) => Look::Damage(Why::Damaged),
        Err(NoHead::Foreign(version)) => Look::Damage(Why::Foreign(version)),
    }
}

/// Where to go on after damage.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A record begins here.
    Record(u64),
    /// None begins before.
    From(u64),
}

/// The first record that begins in `bytes`. The end of the file is where nothing begins any more.
pub fn resync(bytes: &[u8], file: File, at: u64, length: u64) -> Next {
    for found in memmem::find_iter(bytes, &MAGIC) {
        let place = at + found as u64;
        match look(&bytes[found..], file, place, length) {
            Look::Record(_) => return Next::Record(place),
            // Only a longer look can tell; not where it was looked at from.
            Look::Short if found > 0 => return Next::From(place),
            Look::Short | Look::Damage(_) => {}
        }
    }
    let end = at + bytes.len() as u64;
    // The begin of a magic may stand at the end.
    let kept = if end < length { (MAGIC.len() - 1).min(bytes.len().saturating_sub(1)) as u64 } else { 0 };
    Next::From((end - kept).min(length))
}

/// A whole segment at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub entries: Vec<(u32, Entry)>,
    pub damage: Vec<Range<u64>>,
}

/// For tests and fuzzing: the store goes through a segment in the same steps, a window at a time.
pub fn scan(bytes: &[u8], file: File) -> Scan {
    let length = bytes.len() as u64;
    let mut found = Scan::default();
    let mut at = 0;
    while at < length {
        if let Look::Record(head) = look(&bytes[at as usize..], file, at, length) {
            let end = at + head.total_bytes();
            match record::entry(&head, &Bytes::copy_from_slice(&bytes[at as usize..end as usize])) {
                Some(entry) => found.entries.push((head.index, entry)),
                None => found.damage.push(at..end),
            }
            at = end;
            continue;
        }
        let (Next::Record(to) | Next::From(to)) = resync(&bytes[at as usize + 1..], file, at + 1, length);
        found.damage.push(at..to);
        at = to;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::spool::entry::Address;
    use proptest::prelude::*;

    const FILE: File = File { run: 1, segment: 2 };

    fn segment(payloads: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let entry = Entry {
                address: Arc::new(Address { group: "g".into(), ..Address::default() }),
                sequence: index as u64,
                first_ms: 0,
                last_ms: 0,
                serial: false,
                gzip: false,
                raw_lengths: vec![3],
                pieces: Vec::new(),
                // Full of magics, as if it held a segment itself.
                payload: Bytes::from(MAGIC.repeat(*payload)),
            };
            let record = record::encode(&entry, FILE, bytes.len() as u64, index as u32);
            bytes.extend_from_slice(&record.concat());
        }
        bytes
    }

    #[derive(Debug, Clone)]
    enum Damage {
        Flip(usize, u8),
        Zero(usize, usize),
        Cut(usize),
        Insert(usize, Vec<u8>),
        Double(usize, usize),
    }

    fn damage() -> impl Strategy<Value = Damage> {
        let place = || any::<usize>();
        prop_oneof![
            (place(), 1..=255u8).prop_map(|(at, bits)| Damage::Flip(at, bits)),
            (place(), 1..5000usize).prop_map(|(at, bytes)| Damage::Zero(at, bytes)),
            place().prop_map(Damage::Cut),
            (place(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
            (place(), 0..2000usize).prop_map(|(at, bytes)| Damage::Double(at, bytes)),
        ]
    }

    fn apply(bytes: &mut Vec<u8>, damage: Damage) {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match damage {
            Damage::Flip(at, bits) => bytes[at % length] ^= bits,
            Damage::Zero(at, count) => bytes[at % length..(at % length + count).min(length)].fill(0),
            Damage::Cut(at) => bytes.truncate(at % length),
            Damage::Insert(at, more) => drop(bytes.splice(at % length..at % length, more)),
            Damage::Double(at, count) => {
                let copy = bytes[at % length..(at % length + count).min(length)].to_vec();
                bytes.extend_from_slice(&copy);
            }
        }
    }

    #[test]
    fn a_head_that_is_cut_short_is_looked_at_again_unless_the_file_ends_there() {
        let bytes = segment(&[3]);
        let length = bytes.len() as u64;
        assert_eq!(look(&bytes[..10], FILE, 0, length), Look::Short);
        assert_eq!(look(&bytes[..10], FILE, 0, 10), Look::Damage(Why::Torn));
        assert_eq!(look(&bytes, FILE, 0, length - 1), Look::Damage(Why::Torn));
        assert!(matches!(look(&bytes, FILE, 0, length), Look::Record(_)));
    }

    #[test]
    fn the_search_for_a_record_keeps_what_may_be_the_begin_of_one() {
        let magic = MAGIC.len();
        // In the middle of a file the last bytes of a window may be a magic's first.
        assert_eq!(resync(&[0; 100], FILE, 1_000, 5_000), Next::From(1_100 - magic as u64 + 1));
        assert_eq!(resync(&[0; 100], FILE, 1_000, 1_101), Next::From(1_100 - magic as u64 + 1));
        assert_eq!(resync(&[0; 3], FILE, 1_000, 5_000), Next::From(1_001), "it goes forward");
        assert_eq!(resync(&[0; 1], FILE, 1_000, 5_000), Next::From(1_001), "it goes forward");
        assert_eq!(resync(&[0; 100], FILE, 1_000, 1_100), Next::From(1_100), "the file ends here");
        // A magic without its head is where to look next, unless that was done.
        let mut cut = vec![0; 50];
        cut.extend_from_slice(&MAGIC);
        assert_eq!(resync(&cut, FILE, 1_000, 5_000), Next::From(1_050));
        assert_eq!(resync(&MAGIC, FILE, 1_000, 5_000), Next::From(1_001));
    }

    #[test]
    fn the_record_behind_damage_is_found() {
        let good = segment(&[3, 4, 5]);
        let written = scan(&good, FILE);
        let first = record::encoded_bytes(&written.entries[0].1).unwrap();
        let mut bytes = good;
        bytes[1] ^= 1;
        let found = scan(&bytes, FILE);
        assert_eq!((&found.entries[..], &found.damage[..]), (&written.entries[1..], std::slice::from_ref(&(0..first))));
    }

    #[test]
    fn damage_says_what_it_looks_like() {
        assert_eq!(Why::Torn.text(), "a record that was not written to its end");
        assert_eq!(Why::Damaged.text(), "no record");
        assert_eq!(Why::Foreign(7).text(), "a record of version 7, of another logpump");
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_record_or_in_damage_and_only_what_was_written_is_read(
            payloads in prop::collection::vec(0..200usize, 0..8),
            damages in prop::collection::vec(damage(), 0..4),
        ) {
            let good = segment(&payloads);
            let written = scan(&good, FILE);
            prop_assert_eq!((written.entries.len(), written.damage.len()), (payloads.len(), 0));
            let mut bytes = good;
            damages.into_iter().for_each(|damage| apply(&mut bytes, damage));
            let found = scan(&bytes, FILE);
            for entry in &found.entries {
                prop_assert!(written.entries.contains(entry));
            }
            let records: u64 = found.entries.iter().map(|(_, entry)| record::encoded_bytes(entry).unwrap()).sum();
            let damaged: u64 = found.damage.iter().map(|range| range.end - range.start).sum();
            prop_assert_eq!(records + damaged, bytes.len() as u64);
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(scan(&bytes, FILE).entries.len(), 0);
        }
    }
}
