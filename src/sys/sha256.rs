//! SHA-256 of two texts at once. A processor with SHA instructions spends most of one text waiting for its own last
//! round; a second text, block by block beside it, fills the wait. What has no partner, and what other processors hash,
//! is the library's.

use sha2::block_api::compress256;

pub type Digest = [u8; 32];
type State = [u32; 8];
type Block = [u8; BLOCK_BYTES];

const BLOCK_BYTES: usize = 64;
/// The length in bits, at the end of the last block.
const LENGTH_BYTES: usize = 8;
/// Source: FIPS 180-4, 5.3.3.
const START: State = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];

/// Not optimised, every instruction is a call, and two side by side take longer than one after the other: then only this
/// file's tests do it.
#[cfg(target_arch = "x86_64")]
const IS_WORTH_IT: bool = cfg!(any(test, not(debug_assertions)));

pub fn one(text: &[u8]) -> Digest {
    finish(START, text, 0)
}

/// Side by side as far as both go; the longer one goes on alone.
pub fn two(texts: [&[u8]; 2]) -> [Digest; 2] {
    two_with(compress_two, texts)
}

/// As many blocks of one text as of the other.
type CompressTwo = fn(&mut [State; 2], [&[Block]; 2]);

fn two_with(compress_two: CompressTwo, texts: [&[u8]; 2]) -> [Digest; 2] {
    let blocks = texts.map(|text| text.as_chunks::<BLOCK_BYTES>().0);
    let shared = blocks[0].len().min(blocks[1].len());
    let mut states = [START; 2];
    compress_two(&mut states, blocks.map(|blocks| &blocks[..shared]));
    [0, 1].map(|index| finish(states[index], texts[index], shared))
}

/// The digest of a text whose first blocks are in the state.
fn finish(mut state: State, text: &[u8], blocks_done: usize) -> Digest {
    let (blocks, rest) = text.as_chunks::<BLOCK_BYTES>();
    compress256(&mut state, &blocks[blocks_done..]);
    let mut last = [[0; BLOCK_BYTES]; 2];
    let flat = last.as_flattened_mut();
    flat[..rest.len()].copy_from_slice(rest);
    flat[rest.len()] = 0x80;
    let count = (rest.len() + 1 + LENGTH_BYTES).div_ceil(BLOCK_BYTES);
    let bits = text.len() as u64 * 8;
    flat[count * BLOCK_BYTES - LENGTH_BYTES..][..LENGTH_BYTES].copy_from_slice(&bits.to_be_bytes());
    compress256(&mut state, &last[..count]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

fn compress_two(states: &mut [State; 2], blocks: [&[Block]; 2]) {
    #[cfg(target_arch = "x86_64")]
    if IS_WORTH_IT && x86_64::is_supported() {
        // SAFETY: the processor has what the function is compiled for, as has just been looked up.
        return unsafe { x86_64::compress_two(states, blocks) };
    }
    compress_in_turn(states, blocks);
}

/// Where the processor has no instructions for it.
fn compress_in_turn(states: &mut [State; 2], [first, second]: [&[Block]; 2]) {
    assert_eq!(first.len(), second.len(), "side by side go as many blocks of one text as of the other");
    compress256(&mut states[0], first);
    compress256(&mut states[1], second);
}

/// Four rounds at a time, first of one text, then of the other: neither waits for the other's result, so the processor
/// runs them at once. The rounds stand in Intel's "SHA Extensions" (2013): the eight words of the state lie in two
/// registers as abef and cdgh.
#[cfg(target_arch = "x86_64")]
mod x86_64 {
    use std::arch::x86_64::*;

    use super::{Block, State};

    /// Source: FIPS 180-4, 4.2.2.
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5],
        [0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
        [0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3],
        [0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
        [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc],
        [0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
        [0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7],
        [0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
        [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13],
        [0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
        [0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3],
        [0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
        [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5],
        [0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
        [0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208],
        [0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
    ];

    /// One text on its way.
    #[derive(Clone, Copy)]
    struct Lane {
        abef: __m128i,
        cdgh: __m128i,
        /// The sixteen words that the next rounds take or are made of, oldest first.
        words: [__m128i; 4],
    }

    /// All that the functions here are compiled for; SSE2 is part of x86-64.
    pub fn is_supported() -> bool {
        is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
    }

    #[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
    pub fn compress_two(states: &mut [State; 2], [first, second]: [&[Block]; 2]) {
        assert_eq!(first.len(), second.len(), "side by side go as many blocks of one text as of the other");
        let mut lanes = [unpack(&states[0]), unpack(&states[1])];
        for blocks in first.iter().zip(second) {
            let [one, two] = &mut lanes;
            let before = [(one.abef, one.cdgh), (two.abef, two.cdgh)];
            (one.words, two.words) = (load(blocks.0), load(blocks.1));
            for constants in ROUNDS[..12].as_chunks().0 {
                sixteen_rounds::<true>([one, two], constants);
            }
            // The last ones take words that are there already.
            sixteen_rounds::<false>([one, two], &ROUNDS[12..].as_chunks().0[0]);
            for (lane, (abef, cdgh)) in lanes.iter_mut().zip(before) {
                lane.abef = _mm_add_epi32(lane.abef, abef);
                lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
            }
        }
        *states = [pack(&lanes[0]), pack(&lanes[1])];
    }

    /// `MORE`: as many rounds follow, and need words.
    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3")]
    fn sixteen_rounds<const MORE: bool>([one, two]: [&mut Lane; 2], constants: &[[u32; 4]; 4]) {
        four_rounds::<0, MORE>([one, two], &constants[0]);
        four_rounds::<1, MORE>([one, two], &constants[1]);
        four_rounds::<2, MORE>([one, two], &constants[2]);
        four_rounds::<3, MORE>([one, two], &constants[3]);
    }

    #[inline]
    #[target_feature(enable = "sha,sse2,ssse3")]
    fn four_rounds<const AT: usize, const MORE: bool>([one, two]: [&mut Lane; 2], constants: &[u32; 4]) {
        let constants = quad(constants);
        one.four_rounds::<AT>(constants);
        two.four_rounds::<AT>(constants);
        if MORE {
            one.next_words::<AT>();
            two.next_words::<AT>();
        }
    }

    impl Lane {
        #[inline]
        #[target_feature(enable = "sha,sse2")]
        fn four_rounds<const AT: usize>(&mut self, constants: __m128i) {
            let sum = _mm_add_epi32(self.words[AT], constants);
            self.cdgh = _mm_sha256rnds2_epu32(self.cdgh, self.abef, sum);
            self.abef = _mm_sha256rnds2_epu32(self.abef, self.cdgh, _mm_shuffle_epi32(sum, 0x0e));
        }

        /// The words of the round that follows in sixteen rounds, in the place of those that were taken.
        #[inline]
        #[target_feature(enable = "sha,sse2,ssse3")]
        fn next_words<const AT: usize>(&mut self) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| self.words[(AT + index) % 4]);
            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(a, b), _mm_alignr_epi8(d, c, 4));
            self.words[AT] = _mm_sha256msg2_epu32(sum, d);
        }
    }

    #[inline]
    #[target_feature(enable = "sse2,ssse3")]
    fn load(block: &Block) -> [__m128i; 4] {
        let big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
        let (quarters, _) = block.as_chunks::<16>();
        [0, 1, 2, 3].map(|index| {
            let quarter: &[u8; 16] = &quarters[index];
            // SAFETY: `quarter` is 16 readable bytes, and this load asks for no alignment.
            let words = unsafe { _mm_loadu_si128(quarter.as_ptr().cast()) };
            _mm_shuffle_epi8(words, big_endian)
        })
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn quad(words: &[u32; 4]) -> __m128i {
        // SAFETY: `words` is 16 readable bytes, and this load asks for no alignment.
        unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
    }

    #[target_feature(enable = "sse2,ssse3,sse4.1")]
    fn unpack(state: &State) -> Lane {
        let [a, b, c, d, e, f, g, h] = state.map(|word| word as i32);
        let (abef, cdgh) = (_mm_set_epi32(a, b, e, f), _mm_set_epi32(c, d, g, h));
        Lane { abef, cdgh, words: [_mm_setzero_si128(); 4] }
    }

    #[target_feature(enable = "sse2,ssse3,sse4.1")]
    fn pack(lane: &Lane) -> State {
        let word = |quad, index| match index {
            0 => _mm_extract_epi32(quad, 0),
            1 => _mm_extract_epi32(quad, 1),
            2 => _mm_extract_epi32(quad, 2),
            _ => _mm_extract_epi32(quad, 3),
        };
        let (abef, cdgh) = (lane.abef, lane.cdgh);
        let words = [(abef, 3), (abef, 2), (cdgh, 3), (cdgh, 2), (abef, 1), (abef, 0), (cdgh, 1), (cdgh, 0)];
        words.map(|(quad, index)| word(quad, index) as u32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest as _;

    use super::*;

    fn hex(digest: Digest) -> String {
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn librarys(text: &[u8]) -> Digest {
        sha2::Sha256::digest(text).into()
    }

    /// Source: NIST, Cryptographic Standards and Guidelines, Examples with Intermediate Values: SHA256.
    const PUBLISHED: [(&[u8], &str); 4] = [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        ),
    ];

    #[test]
    fn every_pair_of_the_published_texts_has_the_published_digests() {
        let million = vec![b'a'; 1_000_000];
        let long = (&million[..], "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        let texts = PUBLISHED.into_iter().chain([long]);
        // On a processor without SHA instructions both are the same.
        for way in [compress_two as CompressTwo, compress_in_turn] {
            for (text, digest) in texts.clone() {
                assert_eq!(hex(one(text)), digest);
                for (other, others) in texts.clone() {
                    assert_eq!(two_with(way, [text, other]).map(hex), [digest, others]);
                }
            }
        }
    }

    #[test]
    fn every_length_beside_every_other_is_as_the_library_has_it() {
        let texts = [7, 11].map(|factor| (0..300u32).map(|index| (index * factor) as u8).collect::<Vec<_>>());
        let digests = texts.each_ref().map(|text| (0..=300).map(|end| librarys(&text[..end])).collect::<Vec<_>>());
        for first in 0..=300 {
            assert_eq!(one(&texts[0][..first]), digests[0][first], "{first} alone");
            for second in 0..=300 {
                let found = two([&texts[0][..first], &texts[1][..second]]);
                assert_eq!(found, [digests[0][first], digests[1][second]], "{first} beside {second}");
                let in_turn = two_with(compress_in_turn, [&texts[0][..first], &texts[1][..second]]);
                assert_eq!(in_turn, found, "{first} and then {second}");
            }
        }
    }

    proptest! {
        /// Also where they do not begin at an aligned address.
        #[test]
        fn any_two_texts_have_the_digests_of_the_library(
            first in prop::collection::vec(any::<u8>(), 0..20_000),
            second in prop::collection::vec(any::<u8>(), 0..20_000),
            skipped in (0..16usize, 0..16usize),
        ) {
            let (first, second) = (&first[skipped.0.min(first.len())..], &second[skipped.1.min(second.len())..]);
            prop_assert_eq!(two([first, second]), [librarys(first), librarys(second)]);
            prop_assert_eq!(one(first), librarys(first));
        }
    }
}
