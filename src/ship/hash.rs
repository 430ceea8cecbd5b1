//! The SHA-256 of a body, which its signature covers: computed once however often the body is sent, and beside another
//! body's if there is one. Knows nothing of signatures.

use std::sync::{Arc, OnceLock};

use crate::spool::entry::Entry;
use crate::sys::sha256::{self, Digest};

/// One body's, and computed when it is needed; a clone is the same body's.
#[derive(Debug, Clone, Default)]
pub struct BodyHash(Arc<OnceLock<Digest>>);

/// It says nothing that the body does not.
impl PartialEq for BodyHash {
    fn eq(&self, _: &BodyHash) -> bool {
        true
    }
}

impl Eq for BodyHash {}

impl BodyHash {
    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }
}

/// A body, and the place for its hash.
#[derive(Debug, Clone)]
pub struct Hashed {
    pub entry: Arc<Entry>,
    pub hash: BodyHash,
}

impl Hashed {
    /// The partner, which is to go out soon, gets its hash as well: two side by side take little longer than one.
    pub fn digest(&self, partner: Option<Hashed>) -> Digest {
        if let Some(digest) = self.hash.0.get() {
            return *digest;
        }
        let Some(partner) = partner.filter(|partner| !partner.hash.is_known()) else {
            return *self.hash.0.get_or_init(|| sha256::one(&self.entry.payload));
        };
        let [own, partners] = sha256::two([&self.entry.payload, &partner.entry.payload]);
        partner.hash.0.get_or_init(|| partners);
        *self.hash.0.get_or_init(|| own)
    }
}

/// For each body the one that is hashed beside it: two that have no hash yet make a pair, which the first of them hashes;
/// the last takes what waits.
pub fn partners<'a>(
    bodies: impl ExactSizeIterator<Item = &'a Hashed>,
    waiting: impl FnOnce() -> Option<Hashed>,
) -> Vec<Option<Hashed>> {
    let mut partners = vec![None; bodies.len()];
    let mut unhashed = bodies.enumerate().filter(|(_, body)| !body.hash.is_known());
    while let Some((first, _)) = unhashed.next() {
        let Some((_, second)) = unhashed.next() else {
            partners[first] = waiting();
            break;
        };
        partners[first] = Some(second.clone());
    }
    partners
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn body(payload: &'static [u8]) -> Hashed {
        let entry = Entry {
            address: Arc::default(),
            sequence: 0,
            first_ms: 0,
            last_ms: 0,
            serial: false,
            gzip: false,
            raw_lengths: vec![1],
            pieces: Vec::new(),
            payload: Bytes::from_static(payload),
        };
        Hashed { entry: Arc::new(entry), hash: BodyHash::default() }
    }

    fn hex(digest: Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_pair_is_hashed_by_the_first_of_it_and_each_has_its_own() {
        let (one, two) = (body(b"abc"), body(b""));
        let again = two.clone();
        assert_eq!(hex(one.digest(Some(two.clone()))), OF_ABC);
        assert!(one.hash.is_known() && again.hash.is_known());
        assert_eq!((hex(again.digest(None)), hex(one.digest(None))), (OF_NOTHING.into(), OF_ABC.into()));
    }

    #[test]
    fn what_has_its_hash_is_not_hashed_again() {
        let (one, mut two) = (body(b"abc"), body(b""));
        one.digest(Some(two.clone()));
        // Another body in the place of the second: were it hashed again, this would be its hash.
        two.entry = body(b"another").entry;
        assert_eq!(hex(two.digest(None)), OF_NOTHING);
        let three = body(b"abc");
        assert_eq!(hex(three.digest(Some(two.clone()))), OF_ABC);
        assert_eq!(hex(two.digest(Some(three.clone()))), OF_NOTHING);
    }

    #[test]
    fn two_without_a_hash_make_a_pair_and_the_last_takes_what_waits() {
        let bodies = [b"a", b"b", b"c", b"d"].map(|payload| body(payload));
        bodies[1].digest(None);
        let waiting = body(b"w");
        let payloads = |bodies: &[Hashed]| -> Vec<Option<Bytes>> {
            let partners = partners(bodies.iter(), || Some(waiting.clone()));
            partners.into_iter().map(|partner| partner.map(|body| body.entry.payload.clone())).collect()
        };
        let some = |payload: &'static [u8]| Some(Bytes::from_static(payload));
        assert_eq!(payloads(&bodies), [some(b"c"), None, None, some(b"w")]);
        assert_eq!(payloads(&bodies[..3]), [some(b"c"), None, None]);
        assert_eq!(payloads(&bodies[..2]), [some(b"w"), None]);
        assert_eq!(payloads(&bodies[1..2]), [None]);
    }
}
