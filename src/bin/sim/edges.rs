//! Damage after which a record begins where two windows of a search meet: by chance alone that hardly ever is.

use logpump::spool::record;

/// What is read at a time when looking for records, and what must be left of it for another look.
const WINDOW_BYTES: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = record::HEAD_BYTES_MAX;
/// A record begins with so many bytes that tell it.
const MAGIC_BYTES: usize = 8;

/// Where the records of a file begin.
fn places(bytes: &[u8], file: record::File) -> Vec<usize> {
    let (mut places, mut at) = (Vec::new(), 0);
    while let Ok(head) = record::head(&bytes[at..], file, at as u64) {
        places.push(at);
        at += head.total_bytes() as usize;
        if at >= bytes.len() {
            break;
        }
    }
    places
}

/// The heads to spoil so that the next record is found only if what stands at a window's end is looked at again.
pub fn heads_before_an_edge(bytes: &[u8], file: record::File) -> Option<Vec<usize>> {
    let places = places(bytes, file);
    let mut window = 0;
    for (nth, first) in places.iter().enumerate() {
        if (window + WINDOW_BYTES).saturating_sub(*first) < HEAD_BYTES_MAX {
            window = *first;
        }
        for (count, next) in places[nth + 1..].iter().enumerate() {
            // Each window begins a little before the end of the last.
            let is_edge = |edge: usize| edge > *next && edge - next < MAGIC_BYTES && edge < bytes.len();
            let mut edges = (0..).map(|index| window + WINDOW_BYTES + index * (WINDOW_BYTES - (MAGIC_BYTES - 1)));
            if edges.find(|edge| edge > next).is_some_and(is_edge) {
                return Some(places[nth..=nth + count].to_vec());
            }
        }
    }
    None
}
