//! What must hold of what the spool has: what it says that it stored, what it is told to be done with, and what it says that
//! it lost.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use logpump::ledger::Count;
use logpump::spool::wire::EntryId;

use crate::body::Body;
use crate::disk::Struck;
use crate::watch::Watch;

impl Watch {
    /// logpump has ended, or was killed. The spool may not have noted what was done from then on, nor answered what it was
    /// given last.
    pub fn not_noted(&mut self, from: Duration, unanswered: impl Iterator<Item = Rc<Body>>) {
        self.on_disk.loose.extend(unanswered.map(|body| (body, Duration::MAX)));
        self.on_disk.forget_done(from);
        self.expect_again();
    }

    /// Of which events the spool has more than one, or one though it had its end.
    fn expect_again(&mut self) {
        let mut copies: HashMap<(usize, u32), u32> = HashMap::new();
        for body in self.on_disk.not_noted() {
            body.events().for_each(|event| *copies.entry((body.log, event)).or_default() += 1);
        }
        for (index, log) in self.logs.iter_mut().enumerate() {
            for (event, it) in log.truth.events.iter_mut().enumerate() {
                // Once is what is expected of one that has no end.
                let expected = u32::from(it.end.is_none());
                it.comes_again = copies.get(&(index, event as u32)).is_some_and(|copies| *copies > expected);
            }
        }
    }

    /// The spool says that it has this, in this run's files.
    pub fn stored(&mut self, body: &Rc<Body>, run: u64, id: EntryId) {
        let place = (run, id.segment);
        let spoiled = self.on_disk.is_spoiled(place, id.index);
        for event in body.events() {
            let event = &mut self.logs[body.log].truth.events[event as usize];
            event.spooled = true;
            event.spoiled |= spoiled;
        }
        self.on_disk.bodies.entry(place).or_default().push((id.index, body.clone()));
    }

    /// It was refused: what was written of it may be whole all the same, and is noted as done.
    pub fn not_stored(&mut self, body: &Rc<Body>, now: Duration) {
        self.on_disk.loose.push((body.clone(), now));
    }

    /// The spool is told that this is done with.
    pub fn done(&mut self, run: u64, id: EntryId, now: Duration) {
        self.on_disk.done.insert((run, id.segment, id.index), now);
    }

    /// It was taken back before it was known to be stored: logpump has it in memory, and that does not count as stored.
    pub fn unwanted(&mut self, run: u64, id: EntryId) {
        let place = (run, id.segment);
        self.on_disk.unwanted.insert((run, id.segment, id.index));
        let here = self.on_disk.bodies.get(&place).into_iter().flatten();
        for body in here.filter(|(index, _)| *index == id.index).map(|(_, body)| body) {
            let is_stored = self.on_disk.is_wanted_somewhere(body.hash);
            for event in body.events() {
                self.logs[body.log].truth.events[event as usize].spooled &= is_stored;
            }
        }
    }

    /// Something happened to these files of the spool.
    pub fn struck(&mut self, files: Vec<Struck>) {
        for Struck { run, name, entries } in files {
            if let Some(segment) = name.strip_suffix(".done") {
                self.on_disk.unread_journals.insert((run, segment.parse().expect("a segment's name is a number")));
            }
            let Some(segment) = name.strip_suffix(".seg") else { continue };
            let place = (run, segment.parse().expect("a segment's name is a number"));
            let spoiled = self.on_disk.spoiled.entry(place).or_insert(Some(HashSet::new()));
            match (entries, &mut *spoiled) {
                (Some(entries), Some(spoiled)) => spoiled.extend(entries),
                _ => *spoiled = None,
            }
            for (index, body) in self.on_disk.bodies.get(&place).into_iter().flatten() {
                for event in body.events().filter(|_| self.on_disk.is_spoiled(place, *index)) {
                    self.logs[body.log].truth.events[event as usize].spoiled = true;
                }
            }
        }
        self.expect_again();
    }

    /// The spool could not read this journal, however often: what is noted there comes again.
    pub fn journal_unread(&mut self, place: (u64, u32)) {
        let may = self.may_give_reads_up || self.on_disk.unread_journals.contains(&place);
        assert!(may, "the journal of {place:?} is not read, and nothing happened to it");
        self.on_disk.unread_journals.insert(place);
        self.expect_again();
    }

    /// logpump is told that this is not there any more.
    pub fn gone(&mut self, own: bool, count: Count) -> Result<(), String> {
        self.set_aside[usize::from(!own)] += count;
        if self.files_removed { Ok(()) } else { Err(format!("{count:?} are called gone, and nobody removed a file")) }
    }

    /// The same of a body that it had in memory until the end: what of it had its end is not lost with it.
    pub fn held_gone(&mut self, run: u64, id: EntryId, told: Count) -> Result<(), String> {
        let here = self.on_disk.bodies.get(&(run, id.segment)).into_iter().flatten();
        let body = here.filter(|(index, _)| *index == id.index).map(|(_, body)| body.clone()).next_back();
        let own = id.run == 0;
        let Some(body) = body else {
            // A run was killed before it was told that this was stored.
            self.unsure[usize::from(!own)] += told;
            return self.gone(own, told);
        };
        // Its parts may have been stored by themselves, at the end.
        let others = self.on_disk.bodies.iter().filter(|(place, _)| place.0 == run).flat_map(|(place, bodies)| {
            bodies.iter().filter(|(index, _)| (place.1, *index) != (id.segment, id.index)).map(|(_, other)| other)
        });
        let elsewhere: HashSet<u32> =
            others.filter(|other| other.log == body.log).flat_map(|other| other.events()).collect();
        let truth = &self.logs[body.log].truth;
        let in_parts = self.logs[body.log].invalid_in.contains(&self.run);
        let (mut whole, mut left) = (Count::default(), Count::default());
        for index in body.events() {
            let event = &truth.events[index as usize];
            let count = truth.count_of(index);
            whole += count;
            if !(in_parts && event.end.is_some() && event.ended_in == Some(self.run)) {
                left += count;
            }
            // Whether it was found to be bad, or lies elsewhere, is for logpump to say.
            let is_unsure = event.refused_alone || elsewhere.contains(&index);
            self.unsure[usize::from(!own)] += if is_unsure { count } else { Count::default() };
        }
        if whole != told {
            return Err(format!("{told:?} are called gone, and {whole:?} were there"));
        }
        self.gone(own, left)
    }

    /// logpump is told that this was told as lost, of its own, and is not.
    pub fn not_lost(&mut self, count: Count) -> Result<(), String> {
        let left = self.set_aside[0].without(count);
        if left + count != self.set_aside[0] {
            return Err(format!("{count:?} are called not lost, and {:?} were told as lost", self.set_aside[0]));
        }
        self.set_aside[0] = left;
        Ok(())
    }

    /// logpump is told that this cannot be read any more, of its own or of an adopted run.
    pub fn set_aside(&mut self, own: bool, what: &str, count: Count) -> Result<(), String> {
        self.set_aside[usize::from(!own)] += count;
        let file = what.split(".seg").next().and_then(|name| name.split_once('/'));
        let place = file.and_then(|(run, name)| Some((u64::from_str_radix(run, 16).ok()?, name.parse().ok()?)));
        let place = place.ok_or_else(|| format!("which segment is set aside? {what}"))?;
        let may = self.on_disk.spoiled.contains_key(&place) || self.may_give_reads_up || (self.power_lost && !own);
        if may || count == Count::default() {
            Ok(())
        } else {
            Err(format!("{count:?} are called unreadable, and nothing happened to them: {what}"))
        }
    }
}
