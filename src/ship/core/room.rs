//! How much may be held, over all streams: a bound that one stream may use alone, and a share that none loses.

use super::Core;
use crate::limits::{
    BODY_BYTES_MAX, BODY_BYTES_TYPICAL, VISIT_BYTES_MAX, WAITING_BODIES_MAX, WAITING_BODIES_PER_STREAM_MAX,
};

/// Bytes in open batches: of one stream, and of all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Open {
    pub own_bytes: usize,
    pub all_bytes: usize,
}

impl Core {
    /// May another body of this stream be finished?
    /// `pressing`: it would rather go to the disk, or wait in memory where no disk takes it, than stay in the ring.
    pub fn accepts(&self, stream: usize, pressing: bool) -> bool {
        if self.spilling {
            return !self.disk_is_behind();
        }
        let own = &self.streams[stream];
        let few = own.waiting.len() < WAITING_BODIES_PER_STREAM_MAX;
        let has_place = few || (own.refusals.slow && self.accepts_slowly(stream));
        // What is durable is on disk before it is sent, so it waits for a disk that works.
        let may_wait = !(self.is_durable() && self.disk_is_behind());
        let finds_one = || self.disk_takes_next(stream) || (may_wait && !own.refusals.slow);
        // And what stays in the ring is not there after a kill.
        let is_safer_there = self.is_durable() && self.disk_takes_next(stream);
        (has_place && may_wait) || is_safer_there || (pressing && finds_one())
    }

    /// May this stream take more out of its ring? `open` is what it, and what all streams, have in open batches.
    /// Below the bound anyone may; beyond it, those that hold less than their share: a stream that has little to say is
    /// not held up by one that has much.
    /// What the ring of another presses out goes to the disk; where that takes nothing, it waits in memory.
    pub fn has_room(&self, stream: usize, open: Open) -> bool {
        let held = self.held_bytes + open.all_bytes;
        let own = self.streams[stream].held_bytes + open.own_bytes;
        // What such a stream makes is hardly escapes alone: what is kept for these has room for a body more.
        let is_quiet = |share| own < share && held < self.limit().saturating_add(BODY_BYTES_MAX);
        if held < self.bound() || is_quiet(self.share()) {
            return true;
        }
        if !(self.streams[stream].presses || self.spilling) {
            return false;
        }
        if self.spilling || self.disk_takes_next(stream) {
            // Bodies in calls that hang may fill all memory. An idle disk takes the next all the same.
            return held < self.limit() || !self.disk.has_pending();
        }
        // As on disk: of a half every stream has its share to itself, and the rest anyone may fill.
        is_quiet(self.share_of_limit()) || held + self.shares_left + BODY_BYTES_MAX <= self.limit()
    }

    /// Whether the stream's ring presses: more than half of it is occupied.
    pub fn set_presses(&mut self, stream: usize, presses: bool) {
        self.streams[stream].presses = presses;
    }

    /// A body that is finished now had better not wait in memory: the bound is reached, and the ring presses; or the rest
    /// is kept for open batches. So what waits in memory never keeps all streams from going on to the disk.
    pub(super) fn is_short_of_memory(&self, stream: usize) -> bool {
        let bound = self.bound();
        self.held_bytes >= bound + bound / 2 || (self.held_bytes >= bound && self.streams[stream].presses)
    }

    /// The bound is reached: an open batch that is its stream's share is large enough, and must go. At twice the bound
    /// half of that is.
    pub fn must_go(&self, open: Open) -> bool {
        let held = self.held_bytes + open.all_bytes;
        (held >= self.bound() && open.own_bytes >= self.share())
            || (held >= 2 * self.bound() && open.own_bytes >= self.share() / 2)
    }

    pub(super) fn bound(&self) -> usize {
        let wanted = (self.options.max_in_flight + WAITING_BODIES_MAX) * BODY_BYTES_TYPICAL;
        // Twice the bound, and one visit more, stay inside.
        wanted.min(self.options.body_bytes_max.saturating_sub(VISIT_BYTES_MAX) / 2).max(1)
    }

    /// What may be held where nothing but memory takes it: one visit more stays inside.
    fn limit(&self) -> usize {
        self.options.body_bytes_max.saturating_sub(VISIT_BYTES_MAX).max(1)
    }

    pub(super) fn share(&self) -> usize {
        self.bound() / self.own_streams
    }

    fn share_of_limit(&self) -> usize {
        self.limit() / 2 / self.own_streams.max(1)
    }

    // `shares_left` is kept, not summed up: it is asked for wherever a ring presses, and there may be many streams.

    pub(super) fn hold_bytes(&mut self, stream: usize, bytes: usize) {
        self.held_bytes += bytes;
        self.set_held_bytes(stream, self.streams[stream].held_bytes + bytes);
    }

    pub(super) fn free_bytes(&mut self, stream: usize, bytes: usize) {
        self.held_bytes -= bytes;
        self.set_held_bytes(stream, self.streams[stream].held_bytes - bytes);
    }

    fn set_held_bytes(&mut self, stream: usize, bytes: usize) {
        let before = std::mem::replace(&mut self.streams[stream].held_bytes, bytes);
        if stream < self.own_streams {
            let share = self.share_of_limit();
            self.shares_left = self.shares_left + share.saturating_sub(bytes) - share.saturating_sub(before);
        }
    }

    pub(super) fn hold_nothing(&mut self) {
        self.held_bytes = 0;
        self.streams.iter_mut().for_each(|stream| stream.held_bytes = 0);
        self.shares_left = self.share_of_limit() * self.own_streams;
    }

    /// As it would be summed up.
    #[cfg(test)]
    pub(super) fn assert_shares_left(&self) {
        let (share, own) = (self.share_of_limit(), &self.streams[..self.own_streams]);
        let left = own.iter().map(|stream| share.saturating_sub(stream.held_bytes)).sum::<usize>();
        assert_eq!(self.shares_left, left);
    }
}
