//! What the disk does not have any more, or never will give back.

use super::*;

#[test]
fn what_came_back_from_a_spool_that_died_then_stays_in_memory_also_when_its_stream_is_in_trouble() {
    let mut desk = Desk::new(1, with_disk(1, 1, false));
    desk.offer(0, ["a", "b", "c", "d", "e"]);
    desk.spool_works_on();
    for name in ["a", "b", "c"] {
        desk.answer(name, ok());
        desk.spool_works_on();
    }
    assert_eq!((desk.sent[0].1.as_str(), desk.core.streams[0].backlog.len()), ("d", 1));
    desk.core.spool_died();
    desk.answer("d", denied());
    assert_eq!((desk.core.disk.alone, desk.core.streams[0].disk.alone), (0, 0), "left on a disk that is dead");
    desk.offer(0, ["f"]);
    desk.now = desk.core.next_due(desk.now).expect("a hold ends");
    desk.act();
    for name in ["d", "e", "f"] {
        desk.answer(name, ok());
    }
    assert_eq!((desk.delivered(0), desk.core.is_empty(desk.now)), (6, true));
}
