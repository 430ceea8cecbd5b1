//! What the spool said that it has, or may have without a word, and what it was told to be done with.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use crate::body::Body;

/// What lies in a segment: index and body.
pub type Content = Vec<(u32, Rc<Body>)>;

/// By run and segment.
#[derive(Default)]
pub struct OnDisk {
    pub bodies: HashMap<(u64, u32), Content>,
    /// What of them something happened to, by index; None: all.
    pub spoiled: HashMap<(u64, u32), Option<HashSet<u32>>>,
    /// When ship was done with an entry, by run, segment and index.
    pub done: HashMap<(u64, u32, u32), Duration>,
    pub unwanted: HashSet<(u64, u32, u32)>,
    /// By run and segment: something happened to the journal.
    pub unread_journals: HashSet<(u64, u32)>,
    /// Perhaps there, and when that was found unwanted.
    pub loose: Vec<(Rc<Body>, Duration)>,
}

impl OnDisk {
    pub fn is_spoiled(&self, place: (u64, u32), index: u32) -> bool {
        self.spoiled.get(&place).is_some_and(|some| some.as_ref().is_none_or(|some| some.contains(&index)))
    }

    pub fn is_wanted_somewhere(&self, hash: u64) -> bool {
        let is_wanted = |place: &(u64, u32), index: u32| !self.unwanted.contains(&(place.0, place.1, index));
        let mut all = self.bodies.iter().flat_map(|(place, content)| content.iter().map(move |it| (place, it)));
        all.any(|(place, (index, body))| body.hash == hash && is_wanted(place, *index))
    }

    /// What was done from then on is not noted, and will not be.
    pub fn forget_done(&mut self, from: Duration) {
        self.done.retain(|_, at| *at < from);
        for (_, at) in &mut self.loose {
            *at = if *at < from { *at } else { Duration::MAX };
        }
    }

    /// Bodies that the next run may find, though some are done with.
    pub fn not_noted(&self) -> impl Iterator<Item = &Rc<Body>> {
        let is_noted = |place: &(u64, u32), index: u32| {
            self.done.contains_key(&(place.0, place.1, index)) && !self.unread_journals.contains(place)
        };
        let of = move |(place, content)| (content as &Content).iter().map(move |(index, body)| (place, *index, body));
        let stored = self.bodies.iter().flat_map(of).filter(move |(place, index, _)| !is_noted(place, *index));
        // Which journal has it, nobody knows.
        let none_unread = self.unread_journals.is_empty();
        let loose = self.loose.iter().filter(move |(_, at)| *at == Duration::MAX || !none_unread);
        stored.map(|(_, _, body)| body).chain(loose.map(|(body, _)| body))
    }
}
