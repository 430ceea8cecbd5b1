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
