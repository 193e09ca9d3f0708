//! Taking over what lanes did: proving that they had nothing to do with each other, and keeping what they changed.
//!
//! Lanes ran at the same time, each on its own overlay above the same frozen one. If no lane touched what another one
//! changed, then every interleaving of them comes to the same, the order of the block included. Where two lanes did meet,
//! everything that depends on the meeting is left out and has to be run again: the transactions of a lane that are
//! connected, over accounts and slots that the lane changed, with one that touched the contested key.

use alloy_primitives::map::B256Set;

use super::{
    overlay::{Cached, Overlay, Slot},
    touches::{Access, Key},
};
use crate::{StateError, parallel::DisjointSets};

/// Memory of the joins of one block, kept from one window to the next.
#[derive(Debug, Default)]
pub(crate) struct Join {
    window: u32,
    accounts: Vec<Mark>,
    slots: Vec<Mark>,
}

/// What lanes of a window have done to an account or slot of the overlay below them.
#[derive(Debug, Clone, Copy)]
struct Mark {
    window: u32,
    access: Access,
    contested: bool,
}

/// How much of a lane survives a meeting with another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Whatever has nothing to do with the meeting: the rest may come later in the block.
    Independent,
    /// Nothing of any lane: the order is fixed, and what is left out may belong anywhere in it.
    AllOrNothing,
}

/// A lane's overlay, and where its accounts and slots lie in the one below.
struct Placed<'a> {
    overlay: &'a mut Overlay,
    accounts: Vec<u32>,
    slots: Vec<u32>,
}

/// What is to become of a lane's transactions, in the lane's order. Empty: all stand.
pub(crate) type Redo = Vec<Verdict>;

/// What is to become of a transaction that ran in a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Stands,
    /// It is run again for another one's sake, or because of what no lane can know.
    Again,
    /// It is run again because it met one of another lane: whoever thought that they would not was wrong.
    Met,
}

impl Join {
    /// Adds to `below` what the lanes did as far as it stands, and says what does not.
    ///
    /// `doomed` names transactions of each lane that cannot stand whatever they touched. Fees are not added: they depend
    /// on which transactions stand.
    pub(crate) fn join(
        &mut self,
        below: &mut Overlay,
        lanes: &mut [&mut Overlay],
        doomed: &[Vec<usize>],
        keep: Keep,
    ) -> Result<Vec<Redo>, StateError> {
        self.window += 1;
        let (old_accounts, old_slots) = (below.accounts.len(), below.slots.len());
        let mut contested = doomed.iter().any(|doomed| !doomed.is_empty());
        let mut placed = Vec::with_capacity(lanes.len());
        for overlay in lanes {
            contested |=
                overlay.touches.as_ref().is_some_and(|touches| !touches.unknowable().is_empty());
            let lane = self.place(below, overlay, &mut contested);
            placed.push(lane);
        }
        let mut redo = vec![Redo::new(); placed.len()];
        if contested {
            for ((lane, redo), doomed) in placed.iter_mut().zip(&mut redo).zip(doomed) {
                *redo = self.dependent(lane, doomed);
                if keep == Keep::AllOrNothing {
                    redo.resize(lane.transactions(), Verdict::Stands);
                    let stands = redo.iter_mut().filter(|verdict| **verdict == Verdict::Stands);
                    stands.for_each(|verdict| *verdict = Verdict::Again);
                }
                self.leave_out(lane, redo);
            }
        }
        for lane in &mut placed {
            lane.merge(below);
        }
        if contested {
            // What was left out may have been the first to ask for a key, and then left its own value there.
            for lane in &placed {
                lane.restore(below, old_accounts, old_slots)?;
            }
        }
        Ok(redo)
    }

    /// Finds the places of a lane's accounts and slots below it, and notes who meets whom.
    fn place<'a>(
        &mut self,
        below: &mut Overlay,
        overlay: &'a mut Overlay,
        contested: &mut bool,
    ) -> Placed<'a> {
        let window = self.window;
        let mut accounts = Vec::with_capacity(overlay.accounts.len());
        for cached in &overlay.accounts {
            let place = below.adopt_account(cached.address, cached.account);
            *contested |= note(&mut self.accounts, window, place, cached.access);
            accounts.push(place);
        }
        let mut slots = Vec::with_capacity(overlay.slots.len());
        for slot in &overlay.slots {
            let place = below.adopt_slot(accounts[slot.owner as usize], slot.key, slot.value);
            *contested |= note(&mut self.slots, window, place, slot.access);
            slots.push(place);
        }
        Placed { overlay, accounts, slots }
    }

    fn is_contested(&self, lane: &Placed<'_>, key: Key) -> bool {
        match key.place() {
            Ok(account) => self.accounts[lane.accounts[account] as usize].contested,
            Err(slot) => self.slots[lane.slots[slot] as usize].contested,
        }
    }

    /// The transactions of a lane that depend on a contested key, directly or over what the lane changed.
    fn dependent(&self, lane: &Placed<'_>, doomed: &[usize]) -> Redo {
        let Some(touches) = &lane.overlay.touches else { return Redo::new() };
        let mut sets = DisjointSets::new(touches.transactions());
        let mut first_account = vec![u32::MAX; lane.accounts.len()];
        let mut first_slot = vec![u32::MAX; lane.slots.len()];
        let mut met = vec![false; touches.transactions()];
        // Of a lane that was lost, nothing is here.
        let is_here = |transaction: &usize| *transaction < touches.transactions();
        let mut causes: Vec<_> = doomed.iter().copied().filter(is_here).collect();
        for (transaction, met) in met.iter_mut().enumerate() {
            for key in touches.of(transaction) {
                let is_contested = self.is_contested(lane, *key);
                *met |= is_contested;
                if is_contested || touches.unknowable().contains(key) {
                    causes.push(transaction);
                }
                let (access, first) = match key.place() {
                    Ok(place) => (lane.overlay.accounts[place].access, &mut first_account[place]),
                    Err(place) => (lane.overlay.slots[place].access, &mut first_slot[place]),
                };
                // Reading together what nobody changes connects nobody.
                if access == Access::Read {
                    continue;
                }
                if *first == u32::MAX {
                    *first = transaction as u32;
                } else {
                    sets.union(*first as usize, transaction);
                }
            }
        }
        let mut tainted = vec![false; touches.transactions()];
        for transaction in &causes {
            tainted[sets.find(*transaction)] = true;
        }
        if causes.is_empty() {
            return Redo::new();
        }
        let verdict = |transaction| match (met[transaction], tainted[sets.find(transaction)]) {
            (true, _) => Verdict::Met,
            (false, true) => Verdict::Again,
            (false, false) => Verdict::Stands,
        };
        (0..met.len()).map(verdict).collect()
    }

    /// Treats whatever these transactions touched as never touched. Nothing that stands has changed it.
    fn leave_out(&self, lane: &mut Placed<'_>, redo: &Redo) {
        let Some(touches) = lane.overlay.touches.take() else { return };
        let goes = |transaction: &usize| redo[*transaction] != Verdict::Stands;
        for transaction in (0..redo.len()).filter(goes) {
            for key in touches.of(transaction) {
                let contested = self.is_contested(lane, *key);
                // A slot of an account that was wiped in the lane has its value from there, whoever only reads it.
                let (access, is_own) = match key.place() {
                    Ok(place) => (&mut lane.overlay.accounts[place].access, false),
                    Err(place) => {
                        let slot = &mut lane.overlay.slots[place];
                        (&mut slot.access, slot.epoch > 0)
                    }
                };
                if contested || is_own || *access != Access::Read {
                    *access = Access::None;
                }
            }
        }
        lane.overlay.touches = Some(touches);
        let overlay = &mut *lane.overlay;
        if !overlay.deployed.is_empty() {
            let written = overlay.accounts.iter().filter(|cached| cached.access == Access::Written);
            let code_of =
                |cached: &Cached| cached.account.and_then(|account| account.bytecode_hash);
            let stands: B256Set = written.filter_map(code_of).collect();
            overlay.deployed.retain(|(hash, _)| stands.contains(hash));
        }
    }
}

impl Placed<'_> {
    fn transactions(&self) -> usize {
        self.overlay.touches.as_ref().map_or(0, |touches| touches.transactions())
    }

    /// Writes what the lane changed to the overlay below.
    fn merge(&mut self, below: &mut Overlay) {
        for (cached, place) in self.overlay.accounts.iter().zip(&self.accounts) {
            let target = &mut below.accounts[*place as usize];
            match cached.access {
                Access::None | Access::Read => continue,
                Access::Credited => {
                    target.account.get_or_insert_default().balance += cached.pending;
                }
                Access::Written => {
                    target.account = cached.account;
                    target.epoch += cached.epoch;
                    target.newly_wiped |= cached.newly_wiped;
                }
            }
            target.mark(*place, &mut below.dirty);
        }
        for (slot, place) in self.overlay.slots.iter().zip(&self.slots) {
            let owner = &self.overlay.accounts[slot.owner as usize];
            if slot.access != Access::Written || slot.epoch != owner.epoch {
                continue;
            }
            below.write_slot(*place, slot.value);
        }
        below.deployed.append(&mut self.overlay.deployed);
    }

    /// Reads again what the overlay below has from this lane and no transaction that stands has seen to.
    fn restore(
        &self,
        below: &mut Overlay,
        old_accounts: usize,
        old_slots: usize,
    ) -> Result<(), StateError> {
        for (cached, place) in self.overlay.accounts.iter().zip(&self.accounts) {
            let place = *place as usize;
            if place >= old_accounts
                && cached.access == Access::None
                && !below.accounts[place].dirty
            {
                below.accounts[place].account = below.view.account(&cached.address)?;
            }
        }
        for (slot, place) in self.overlay.slots.iter().zip(&self.slots) {
            let place = *place as usize;
            let Slot { owner, key, dirty, .. } = below.slots[place];
            let owner = &below.accounts[owner as usize];
            if place >= old_slots && slot.access == Access::None && !dirty {
                let wiped = owner.epoch > 0;
                let value = if wiped {
                    Default::default()
                } else {
                    below.view.storage(&owner.address, &key)?
                };
                (below.slots[place].value, below.slots[place].epoch) = (value, owner.epoch);
            }
        }
        Ok(())
    }
}

/// Notes what a lane did to a key. `true`: it matters whether it did so before another lane or after.
fn note(marks: &mut Vec<Mark>, window: u32, place: u32, access: Access) -> bool {
    let place = place as usize;
    if marks.len() <= place {
        marks.resize(place + 1, Mark { window: 0, access: Access::None, contested: false });
    }
    let mark = &mut marks[place];
    if mark.window != window {
        *mark = Mark { window, access, contested: false };
        return false;
    }
    let meets = mark.access.conflicts(access);
    mark.contested |= meets;
    mark.access = mark.access.max(access);
    meets
}
