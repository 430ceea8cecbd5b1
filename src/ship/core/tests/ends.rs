//! How bodies end in the books, and how many of them may be held.

use super::*;
use crate::limits::{
    BODIES_BYTES_MIN, BODY_BYTES_TYPICAL, VISIT_BYTES_MAX, WAITING_BODIES_MAX, WAITING_BODIES_PER_STREAM_MAX,
};

fn rejected(too_old_end: Option<usize>, expired_end: Option<usize>, too_new_start: Option<usize>) -> Answer {
    Answer::Accepted(Rejected { too_old_end, expired_end, too_new_start })
}

/// Lines that ended delivered, too old, expired, too new, of a body of six.
fn ends_of_six(answer: Answer) -> [u64; 4] {
    let mut rig = Rig::ready(1, options(1, 1));
    rig.offer_body(0, "a", body("a", 6), false);
    rig.act();
    rig.answer("a", answer);
    let said = rig.act();
    assert!(said.is_empty() || said == ["say rejected of stream-0"], "{said:?}");
    [End::Delivered, End::TooOld, End::Expired, End::TooNew].map(|end| {
        let (lines, bytes) = rig.ended(0, end);
        assert_eq!(bytes, lines * u64::from(RAW_BYTES));
        lines
    })
}

#[test]
fn rejected_events_are_booked_one_by_one_up_to_exclusive_ends_and_from_an_inclusive_start() {
    assert_eq!(ends_of_six(ok()), [6, 0, 0, 0]);
    assert_eq!(ends_of_six(rejected(Some(1), None, None)), [5, 1, 0, 0]);
    assert_eq!(ends_of_six(rejected(None, Some(2), None)), [4, 0, 2, 0]);
    assert_eq!(ends_of_six(rejected(None, None, Some(5))), [5, 0, 0, 1]);
    assert_eq!(ends_of_six(rejected(None, None, Some(0))), [0, 0, 0, 6]);
    assert_eq!(ends_of_six(rejected(Some(1), Some(3), Some(4))), [1, 1, 2, 2]);
    assert_eq!(ends_of_six(rejected(Some(6), None, None)), [0, 6, 0, 0]);
    // Indices beyond the body are the service's business, and no reason to panic.
    assert_eq!(ends_of_six(rejected(Some(60), None, Some(60))), [0, 6, 0, 0]);
    assert_eq!(ends_of_six(rejected(Some(0), Some(0), Some(6))), [6, 0, 0, 0]);
}

#[test]
fn rejections_are_said_once_a_stream() {
    let mut rig = Rig::ready(2, options(2, 2));
    for round in 0..3 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        rig.offer(0, [&a]);
        rig.offer(1, [&b]);
        rig.act();
        rig.answer(&a, rejected(Some(1), None, None));
        rig.answer(&b, rejected(None, None, Some(0)));
        let said = rig.act();
        assert_eq!(said.len(), if round == 0 { 2 } else { 0 }, "{said:?}");
    }
}

/// `whole` lines, and then pieces: of which line, and whether they end it.
pub(super) fn body_with_pieces(name: &str, whole: u32, pieces: &[(u64, bool)]) -> Body {
    let all = body(name, whole + pieces.len() as u32);
    let pieces = pieces.iter().zip(whole..).map(|((line, ends), event)| Piece::cut(event, *line, *ends));
    Body { lines: u64::from(whole), pieces: pieces.collect(), ..all }
}

#[test]
fn a_line_in_pieces_ends_with_its_last_piece_at_the_worst_of_their_ends() {
    let mut rig = Rig::ready(1, options(3, 3));
    rig.offer_body(0, "a", body_with_pieces("a", 2, &[(500, false)]), false);
    rig.offer_body(0, "b", body_with_pieces("b", 0, &[(500, false)]), false);
    rig.offer_body(0, "c", body_with_pieces("c", 1, &[(500, true)]), false);
    assert_eq!(rig.core.held(0), Count::new(4, 60));
    rig.act();
    rig.answer("c", ok());
    assert_eq!(rig.ended(0, End::Delivered), (1, 20));
    // The second event and the piece.
    rig.answer("a", rejected(None, None, Some(1)));
    assert_eq!((rig.ended(0, End::Delivered), rig.ended(0, End::TooNew)), ((2, 30), (1, 20)));
    assert_eq!(rig.core.held(0), Count::new(1, 10));
    rig.answer("b", ok());
    assert_eq!((rig.ended(0, End::Delivered), rig.ended(0, End::TooNew)), ((2, 40), (2, 20)));
}

#[test]
fn events_whose_answer_was_lost_count_as_duplicates_whenever_they_are_sent_again() {
    let mut rig = Rig::ready(1, options(4, 4));
    for (name, events) in [("a", 3), ("b", 5), ("c", 7)] {
        rig.offer_body(0, name, body(name, events), false);
    }
    rig.act();
    rig.answer("a", lost());
    rig.answer("b", away());
    rig.answer("c", lost());
    rig.act();
    while rig.flying().len() < 3 {
        rig.pass();
        rig.act();
    }
    assert_eq!(rig.ledger(0).duplicates, 3 + 7);
    rig.answer("b", ok());
    rig.answer("a", ok());
    assert_eq!(rig.ledger(0).duplicates, 10);
    // What is refused in between is remembered all the same.
    rig.answer("c", denied());
    rig.act();
    rig.pass();
    rig.act();
    rig.answer("c", not_found());
    assert_eq!(rig.act(), ["create 0"]);
    rig.created(0, ok());
    rig.act();
    rig.answer("c", ok());
    assert_eq!(rig.ledger(0).duplicates, 10 + 2 * 7);
}

#[test]
fn what_is_held_is_bounded_and_yet_every_stream_may_hold_its_share() {
    let big = |name: &str| Body { json: vec![b'x'; BODY_BYTES_TYPICAL], ..body(name, 1) };
    let body_bytes_max = 2 * 6 * BODY_BYTES_TYPICAL + VISIT_BYTES_MAX;
    let mut core = Core::new(addresses(4), Options { body_bytes_max, ..options(2, 2) });
    let parcel = || Parcel::new(big("x"), label(0, false), |json| json);
    let none = Open::default();
    for stream in 0..3 {
        for _ in 0..WAITING_BODIES_PER_STREAM_MAX {
            assert!(core.accepts(stream, false) && core.has_room(stream, none), "{} bytes held", core.held_bytes);
            core.offer(stream, parcel());
        }
        assert!(!core.accepts(stream, false), "a stream has no more than its bodies to go next");
    }
    // Six bodies, the bound, are held. The share is one and a half: who holds less may go on, who holds more may not.
    assert!(!core.has_room(0, none));
    assert!(core.has_room(3, none));
    core.offer(3, parcel());
    assert!(core.has_room(3, none));
    let open = |own_bytes, all_bytes| Open { own_bytes, all_bytes };
    assert!(!core.has_room(3, open(BODY_BYTES_TYPICAL, BODY_BYTES_TYPICAL)));
    // Twice the bound, all that there is, and a body more: nobody.
    assert!(core.has_room(3, open(0, 6 * BODY_BYTES_TYPICAL)));
    assert!(!core.has_room(3, open(0, 7 * BODY_BYTES_TYPICAL)));
}

#[test]
fn an_open_batch_must_go_when_the_bound_is_reached_and_it_is_its_streams_share() {
    let core = Core::new(addresses(4), options(2, 2));
    let bound = 6 * BODY_BYTES_TYPICAL;
    assert!(!core.must_go(Open { own_bytes: bound / 4, all_bytes: bound - 1 }));
    assert!(!core.must_go(Open { own_bytes: bound / 4 - 1, all_bytes: bound }));
    assert!(core.must_go(Open { own_bytes: bound / 4, all_bytes: bound }));
}

#[test]
fn giving_up_books_all_that_is_held_wherever_it_is() {
    let mut rig = Rig::ready(2, options(3, 3));
    rig.offer_body(0, "flying", body_with_pieces("flying", 2, &[(90, false)]), false);
    rig.offer_body(0, "resting", body_with_pieces("resting", 0, &[(90, true)]), false);
    rig.offer(1, ["held"]);
    rig.act();
    rig.answer("resting", Answer::Throttled);
    rig.answer("held", denied());
    rig.offer_body(1, "waiting", body("waiting", 4), true);
    rig.core.give_up(End::Shutdown);
    rig.fates.clear();
    rig.check();
    assert_eq!((rig.ended(0, End::Shutdown), rig.ended(1, End::Shutdown)), ((3, 40), (5, 50)));
    assert_eq!((rig.core.held(0), rig.core.held(1)), (Count::default(), Count::default()));
    assert_eq!(rig.core.next_due(rig.now), None);
}

#[test]
fn twice_the_bound_and_one_visit_stay_inside_what_bodies_may_take() {
    for (body_bytes_max, bound) in [
        (VISIT_BYTES_MAX + BODIES_BYTES_MIN, BODIES_BYTES_MIN / 2),
        (60 << 20, (8 + WAITING_BODIES_MAX) * BODY_BYTES_TYPICAL),
        // Nothing is left: one body at a time, but never none.
        (0, 1),
    ] {
        let core = Core::new(addresses(1), Options { body_bytes_max, ..options(8, 8) });
        assert!(core.has_room(0, Open { own_bytes: bound - 1, all_bytes: bound - 1 }));
        assert!(!core.has_room(0, Open { own_bytes: bound, all_bytes: 2 * bound }));
        assert!(core.must_go(Open { own_bytes: bound, all_bytes: bound }));
        assert!(!core.must_go(Open { own_bytes: bound - 1, all_bytes: bound - 1 }));
    }
}
