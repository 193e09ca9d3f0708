//! The state that a block's transactions see: the view before the block, and on top what they changed.

use std::{
    collections::hash_map::Entry as MapEntry,
    hash::{Hash, Hasher},
    sync::Arc,
};

use alloy_consensus::Transaction as _;
use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressMap, Entry, HashMap},
};
use millrace_types::{Account, AccountDiff, SlotDiff, StateDiff, Transaction};
use revm::{
    Database,
    primitives::KECCAK_EMPTY,
    state::{AccountId, AccountInfo, Bytecode, EvmState},
};

use super::{
    calldata::{Call, CodeName, code_name},
    code_cache::CodeCache,
    habits::Habits,
    hashes::{Hashes, Preimages},
    touches::{Access, Key, Touches},
};
use crate::{StateError, StateView, parallel::Seen};

/// The EVM's database. It remembers what it read, and what of that changed since the changes were last taken.
///
/// Accounts and slots lie in lists, in the order in which somebody first asked for them; small maps tell where. A map of
/// the entries themselves would be large, with a cache miss for every look. Accounts lie here without their code.
pub(crate) struct Overlay {
    pub(super) view: Arc<dyn StateView>,
    places: AddressMap<u32>,
    pub(super) accounts: Vec<Cached>,
    slot_places: HashMap<SlotKey, u32>,
    pub(super) slots: Vec<Slot>,
    codes: CodeCache,
    pub(super) hashes: Hashes,
    habits: Habits,
    block_hashes: HashMap<u64, B256>,
    /// Places of accounts whose changes were not taken yet, each once.
    pub(super) dirty: Vec<u32>,
    /// Places of slots whose changes were not taken yet, each once. Their accounts are dirty too.
    pub(super) dirty_slots: Vec<u32>,
    /// Code that was deployed in this block, and how much of it was taken: it is not in the view.
    pub(super) deployed: Vec<(B256, Bytes)>,
    deployed_taken: usize,
    /// Fees that accrue to accounts which nobody looks at: folded in when somebody does.
    pub(super) credits: Vec<Credit>,
    /// Whom credits may go to: nobody else can be owed fees.
    pub(super) fee_recipients: FeeRecipients,
    /// What transactions look at, where somebody wants to know.
    pub(super) touches: Option<Touches>,
}

/// An account that somebody asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cached {
    pub(super) address: Address,
    pub(super) account: Option<Account>,
    /// Ether that came by plain transfers and was not added yet: additions commute, reading the balance does not.
    pub(super) pending: U256,
    /// It is in the list of dirty accounts.
    pub(super) dirty: bool,
    /// It changed since the overlay was made.
    pub(super) changed: bool,
    /// It was wiped since changes were last taken.
    pub(super) newly_wiped: bool,
    /// How often its storage was wiped: slots of an earlier epoch are gone, and so is the view's storage from the first on.
    pub(super) epoch: u32,
    /// Its place in the difference that was made last, if it is in there.
    place_in_diff: u32,
    pub(super) access: Access,
}

/// Names a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SlotKey {
    owner: u32,
    key: U256,
}

/// Limb by limb: the derived way goes over bytes, which takes three times as long.
impl Hash for SlotKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for limb in self.key.as_limbs() {
            state.write_u64(*limb);
        }
        state.write_u32(self.owner);
    }
}

/// A slot that somebody asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The place of its account.
    pub(super) owner: u32,
    pub(super) key: U256,
    pub(super) value: U256,
    pub(super) dirty: bool,
    /// It changed since the overlay was made.
    pub(super) changed: bool,
    /// The epoch of the account's storage that it belongs to.
    pub(super) epoch: u32,
    pub(super) access: Access,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Credit {
    pub(super) recipient: Address,
    pub(super) amount: U256,
}

impl Overlay {
    pub(crate) fn new(view: Arc<dyn StateView>) -> Self {
        Self {
            view,
            places: AddressMap::default(),
            accounts: Vec::new(),
            slot_places: HashMap::default(),
            slots: Vec::new(),
            codes: CodeCache::default(),
            hashes: Hashes::default(),
            habits: Habits::default(),
            block_hashes: HashMap::default(),
            dirty: Vec::new(),
            dirty_slots: Vec::new(),
            deployed: Vec::new(),
            deployed_taken: 0,
            credits: Vec::new(),
            fee_recipients: FeeRecipients::default(),
            touches: None,
        }
    }

    /// Begins again on another state. Memory is kept, and so is what does not depend on a state: code, hashes
    /// and habits.
    pub(crate) fn reset(&mut self, view: Arc<dyn StateView>) {
        self.view = view;
        self.places.clear();
        self.accounts.clear();
        self.slot_places.clear();
        self.slots.clear();
        self.block_hashes.clear();
        self.dirty.clear();
        self.dirty_slots.clear();
        self.deployed.clear();
        self.deployed_taken = 0;
        self.credits.clear();
        if let Some(touches) = &mut self.touches {
            touches.clear();
        }
    }

    /// How much memory it has grown to hold, in accounts and slots.
    pub(crate) fn capacity(&self) -> usize {
        self.places.capacity() + self.slot_places.capacity()
    }

    /// Makes a block's hash known that the view may not know yet: the parent's.
    pub(crate) fn set_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Adds to an account's balance some time before anybody can tell. The transaction that is running must not have
    /// loaded the account.
    pub(crate) fn credit(&mut self, recipient: Address, amount: U256) {
        if amount.is_zero() {
            return;
        }
        match self.credits.iter_mut().find(|credit| credit.recipient == recipient) {
            Some(credit) => credit.amount += amount,
            None => self.credits.push(Credit { recipient, amount }),
        }
    }

    /// What is owed to each recipient of fees.
    pub(crate) fn take_credits(&mut self) -> impl Iterator<Item = (Address, U256)> {
        self.credits.drain(..).map(|credit| (credit.recipient, credit.amount))
    }

    /// Looks up the accounts that transactions are about to name, and what else calls like them have looked for.
    ///
    /// Each lookup waits for memory a few times, and what waits here waits at once; in the middle of a transaction one
    /// would wait after the other. What cannot be read is left for the transaction to find out.
    pub(crate) fn look_ahead<'a>(
        &mut self,
        transactions: impl Iterator<Item = &'a Transaction> + Clone,
    ) {
        for transaction in transactions.clone() {
            let _ = self.place(transaction.sender());
            if let Some(recipient) = transaction.to() {
                let _ = self.place(recipient);
            }
        }
        let mut habits = std::mem::take(&mut self.habits);
        let Self { places, accounts, hashes, .. } = self;
        let calls = transactions.filter_map(|transaction| {
            let call = Call::of(transaction)?;
            let code = accounts[*places.get(&call.to)? as usize].code_name()?;
            Some(((code, call.selector()), call))
        });
        habits.hash_ahead(calls, hashes);
        for (owner, key) in habits.slots_ahead() {
            if let Ok(owner) = self.place(owner) {
                let _ = self.slot_place(owner, key);
            }
        }
        self.habits = habits;
    }

    /// Learns what calls like this one look for, which has just run.
    pub(super) fn learn(&mut self, call: Call<'_>) {
        if self.hashes.misses().is_empty() {
            return;
        }
        if let Some(Some(code)) = self.known_code(&call.to) {
            let function = (code, call.selector());
            self.habits.learn(function, call, self.hashes.misses(), |miss| {
                let owner = self.places.get(&miss.owner);
                let slot = |owner| SlotKey { owner, key: miss.hash.into() };
                owner.is_some_and(|owner| self.slot_places.contains_key(&slot(*owner)))
            });
        }
        self.forget_misses();
    }

    /// Leaves what was hashed lately to nobody to learn from.
    pub(super) fn forget_misses(&mut self) {
        self.hashes.forget_misses();
    }

    /// The name of an account's code, if it was asked for; nothing within: it has none.
    pub(crate) fn known_code(&self, address: &Address) -> Option<Option<CodeName>> {
        Some(self.accounts[*self.places.get(address)? as usize].code_name())
    }

    /// What its transactions lately hashed.
    pub(crate) fn preimages(&self) -> Preimages {
        self.hashes.preimages()
    }

    /// From now on the overlay notes what transactions touch.
    pub(super) fn note_touches(&mut self) {
        self.touches = Some(Touches::default());
    }

    /// Tells the transactions apart whose touches are noted.
    pub(crate) fn end_transaction(&mut self) {
        if let Some(touches) = &mut self.touches {
            touches.end_transaction();
        }
    }

    /// What a transaction touched and this overlay's transactions, or somebody whom they met, changed.
    pub(crate) fn changed_by(&self, transaction: usize) -> impl Iterator<Item = Seen> {
        let keys = self.touches.as_ref().map_or(&[][..], |touches| touches.of(transaction));
        keys.iter().filter_map(|key| match key.place() {
            Ok(place) => {
                let Cached { address, access, .. } = self.accounts[place];
                access.matters().then_some(Seen { address, slot: None })
            }
            Err(place) => {
                let Slot { owner, key, access, .. } = self.slots[place];
                let address = self.accounts[owner as usize].address;
                access.matters().then_some(Seen { address, slot: Some(key) })
            }
        })
    }

    /// Takes over what a transaction did, and leaves the map empty for the next one.
    pub(crate) fn commit(&mut self, state: &mut EvmState) {
        for (address, account) in state.drain() {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: revm::state::Account) {
        // A transaction touches only what it loaded, and loading it gave it a place.
        let place = match account.info.account_id {
            Some(place) => place.get() as u32,
            None => self.places[&address],
        };
        let cached = &mut self.accounts[place as usize];
        // An account that was touched and is empty does not exist (EIP-161), as if it had destroyed itself.
        if account.is_selfdestructed() || account.info.is_empty() {
            if cached.account.is_some() {
                cached.account = None;
                cached.newly_wiped = true;
                cached.epoch += 1;
                cached.mark(place, &mut self.dirty);
            }
            return;
        }
        let info = account.info;
        let after = Some(Account {
            nonce: info.nonce,
            balance: info.balance,
            bytecode_hash: (info.code_hash != KECCAK_EMPTY).then_some(info.code_hash),
        });
        let changed = cached.account != after;
        if changed
            && let Some(hash) = after.and_then(|account| account.bytecode_hash)
            && cached.account.and_then(|before| before.bytecode_hash) != Some(hash)
            && let Some(code) = info.code
        {
            self.deployed.push((hash, code.original_bytes()));
            self.codes.insert(hash, code);
        }
        cached.account = after;
        if changed {
            cached.mark(place, &mut self.dirty);
        }
        let epoch = cached.epoch;
        for (key, slot) in account.storage {
            if slot.is_changed() {
                self.change_slot(place, epoch, key, slot.present_value);
            }
        }
    }

    fn change_slot(&mut self, owner: u32, epoch: u32, key: U256, value: U256) {
        let index = match self.slot_places.entry(SlotKey { owner, key }) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let index = self.slots.len() as u32;
                self.slots.push(Slot::new(owner, key, U256::ZERO, epoch));
                *entry.insert(index)
            }
        };
        // Nobody was asked for the slots of an account that this transaction created, whether somebody else was or not.
        if let Some(touches) = &mut self.touches {
            touches.add(Key::slot(index));
        }
        self.write_slot(index, value);
    }

    /// Gives a slot that is here a value.
    pub(super) fn write_slot(&mut self, index: u32, value: U256) {
        let slot = &mut self.slots[index as usize];
        let owner = &mut self.accounts[slot.owner as usize];
        owner.mark_storage(slot.owner, &mut self.dirty);
        (slot.value, slot.epoch, slot.access) = (value, owner.epoch, Access::Written);
        slot.changed = true;
        if !slot.dirty {
            slot.dirty = true;
            self.dirty_slots.push(index);
        }
    }

    /// Moves ether and pays for it, when that is all that a transaction does: both accounts are known to have no code.
    /// Nothing has happened when the answer is no.
    pub(crate) fn transfer(&mut self, transfer: Transfer) -> Result<bool, StateError> {
        let Transfer { sender, nonce, recipient, value, funds_min, cost } = transfer;
        let from = self.place(sender)?;
        let to = self.place(recipient)?;
        self.fold_pending(from);
        let [payer, payee] = [&self.accounts[from as usize], &self.accounts[to as usize]];
        let Some(before) = payer.account else { return Ok(false) };
        if before.nonce != nonce || before.bytecode_hash.is_some() || before.balance < funds_min {
            return Ok(false);
        }
        let payee_before = payee.account.unwrap_or_default();
        let owed = payee.pending.saturating_add(value);
        // Several lanes may credit one account: even together they must not overflow.
        let is_much = payee_before.balance.max(owed) > BALANCE_MAX;
        if payee_before.bytecode_hash.is_some() || is_much {
            return Ok(false);
        }
        let payer = &mut self.accounts[from as usize];
        payer.account =
            Some(Account { nonce: nonce + 1, balance: before.balance - cost, ..before });
        payer.mark(from, &mut self.dirty);
        let payee = &mut self.accounts[to as usize];
        if let Some(touches) = &mut self.touches {
            touches.add(Key::account(from));
            touches.add(Key::account(to));
        }
        if self.touches.is_some() && payee.access <= Access::Credited {
            payee.pending = owed;
            payee.access = Access::Credited;
        } else {
            // Nothing is pending: it would have been added when the account was read.
            payee.account = Some(Account { balance: payee_before.balance + owed, ..payee_before });
            payee.pending = U256::ZERO;
            payee.mark(to, &mut self.dirty);
        }
        Ok(true)
    }

    /// What changed since this was last asked.
    pub(crate) fn take_changes(&mut self) -> Result<StateDiff, StateError> {
        for index in 0..self.credits.len() {
            self.load(self.credits[index].recipient)?;
        }
        let mut accounts = Vec::with_capacity(self.dirty.len());
        for place in self.dirty.drain(..) {
            let cached = &mut self.accounts[place as usize];
            cached.dirty = false;
            let wiped = std::mem::take(&mut cached.newly_wiped);
            accounts.push(cached.diff(wiped, accounts.len()));
        }
        let dirty = self.dirty_slots.iter().map(|index| &self.slots[*index as usize]);
        let slots = slot_diffs(&self.accounts, dirty);
        let deployed = self.deployed[self.deployed_taken..].iter().cloned();
        let diff = StateDiff::from_lists(accounts, slots, deployed.collect());
        for index in self.dirty_slots.drain(..) {
            self.slots[index as usize].dirty = false;
        }
        self.deployed_taken = self.deployed.len();
        Ok(diff)
    }

    /// What changed since the beginning, all of it taken already.
    pub(crate) fn all_changes(&mut self) -> StateDiff {
        let changed = self.accounts.iter().filter(|cached| cached.changed);
        let mut accounts = Vec::with_capacity(changed.count());
        for cached in self.accounts.iter_mut().filter(|cached| cached.changed) {
            accounts.push(cached.diff(cached.epoch > 0, accounts.len()));
        }
        let slots = slot_diffs(&self.accounts, self.slots.iter().filter(|slot| slot.changed));
        StateDiff::from_lists(accounts, slots, self.deployed.iter().cloned().collect())
    }

    /// Lets a caller pretend: replaces an account, or some of its storage.
    pub(crate) fn override_account(
        &mut self,
        address: Address,
        change: impl FnOnce(&mut Account),
        code: Option<Bytecode>,
    ) -> Result<(), StateError> {
        let place = self.load(address)?;
        let mut account = self.accounts[place as usize].account.unwrap_or_default();
        change(&mut account);
        if let Some(code) = code {
            let hash = code.hash_slow();
            account.bytecode_hash = (hash != KECCAK_EMPTY).then_some(hash);
            self.deployed.push((hash, code.original_bytes()));
            self.codes.insert(hash, code);
        }
        self.accounts[place as usize].account = Some(account);
        Ok(())
    }

    /// Lets a caller pretend that slots have other values, and when `wipe` is set, that there are no others.
    pub(crate) fn override_storage(
        &mut self,
        address: Address,
        slots: impl IntoIterator<Item = (U256, U256)>,
        wipe: bool,
    ) -> Result<(), StateError> {
        let place = self.load(address)?;
        let cached = &mut self.accounts[place as usize];
        cached.epoch += u32::from(wipe);
        let epoch = cached.epoch;
        for (key, value) in slots {
            self.change_slot(place, epoch, key, value);
        }
        Ok(())
    }

    /// Finds an account with all that it is owed.
    pub(super) fn load(&mut self, address: Address) -> Result<u32, StateError> {
        let place = self.place(address)?;
        self.fold_pending(place);
        let cached = &mut self.accounts[place as usize];
        for credit in &mut self.credits {
            if credit.recipient == address && !credit.amount.is_zero() {
                let amount = std::mem::take(&mut credit.amount);
                let account = cached.account.get_or_insert_default();
                account.balance = account.balance.saturating_add(amount);
                cached.mark(place, &mut self.dirty);
            }
        }
        Ok(place)
    }

    /// Adds what came by transfers.
    pub(super) fn fold_pending(&mut self, place: u32) {
        let cached = &mut self.accounts[place as usize];
        if !cached.pending.is_zero() {
            let amount = std::mem::take(&mut cached.pending);
            // The transfer has checked the sum.
            cached.account.get_or_insert_default().balance += amount;
            cached.mark(place, &mut self.dirty);
        }
    }

    /// The value of a slot of the account at a place.
    fn slot(&mut self, owner: u32, key: U256) -> Result<U256, StateError> {
        let index = self.slot_place(owner, key)?;
        let value = self.slots[index as usize].value;
        if let Some(touches) = &mut self.touches {
            touches.add(Key::slot(index));
            let slot = &mut self.slots[index as usize];
            slot.access = slot.access.max(Access::Read);
        }
        Ok(value)
    }

    /// Where a slot of the account at a place lies, with its present value.
    fn slot_place(&mut self, owner: u32, key: U256) -> Result<u32, StateError> {
        let Cached { address, epoch, .. } = self.accounts[owner as usize];
        match self.slot_places.entry(SlotKey { owner, key }) {
            Entry::Occupied(entry) => {
                let slot = &mut self.slots[*entry.get() as usize];
                if slot.epoch != epoch {
                    (slot.value, slot.epoch) = (U256::ZERO, epoch);
                }
                Ok(*entry.get())
            }
            Entry::Vacant(entry) => {
                let value =
                    if epoch > 0 { U256::ZERO } else { self.view.storage(&address, &key)? };
                let index = self.slots.len() as u32;
                self.slots.push(Slot::new(owner, key, value, epoch));
                Ok(*entry.insert(index))
            }
        }
    }

    pub(super) fn place(&mut self, address: Address) -> Result<u32, StateError> {
        match self.places.entry(address) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(entry) => {
                let account = self.view.account(&address)?;
                // Each costs gas: a block cannot touch so many accounts that 32 bits do not suffice.
                let place = self.accounts.len() as u32;
                self.accounts.push(Cached::new(address, account));
                Ok(*entry.insert(place))
            }
        }
    }

    /// The place of an account that another overlay has read from the same state.
    pub(super) fn adopt_account(&mut self, address: Address, account: Option<Account>) -> u32 {
        match self.places.entry(address) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let place = self.accounts.len() as u32;
                self.accounts.push(Cached::new(address, account));
                *entry.insert(place)
            }
        }
    }

    /// The place of a slot that another overlay has read from the same state.
    pub(super) fn adopt_slot(&mut self, owner: u32, key: U256, value: U256) -> u32 {
        match self.slot_places.entry(SlotKey { owner, key }) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let index = self.slots.len() as u32;
                let epoch = self.accounts[owner as usize].epoch;
                self.slots.push(Slot::new(owner, key, value, epoch));
                *entry.insert(index)
            }
        }
    }

    /// An account as it is now, without remembering that somebody asked. It must not be owed anything.
    pub(super) fn peek_account(&self, address: &Address) -> Result<Option<Account>, StateError> {
        match self.places.get(address) {
            Some(place) => Ok(self.accounts[*place as usize].account),
            None => self.view.account(address),
        }
    }

    /// A slot as it is now, without remembering that somebody asked.
    pub(super) fn peek_slot(&self, address: &Address, key: &U256) -> Result<U256, StateError> {
        let Some(place) = self.places.get(address) else { return self.view.storage(address, key) };
        let epoch = self.accounts[*place as usize].epoch;
        match self
            .slot_places
            .get(&SlotKey { owner: *place, key: *key })
            .map(|index| self.slots[*index as usize])
        {
            Some(slot) if slot.epoch == epoch => Ok(slot.value),
            _ if epoch > 0 => Ok(U256::ZERO),
            _ => self.view.storage(address, key),
        }
    }

    /// Code that an account names.
    pub(super) fn peek_code(&self, hash: &B256) -> Result<Bytes, StateError> {
        match self.deployed.iter().rev().find(|(deployed, _)| deployed == hash) {
            Some((_, code)) => Ok(code.clone()),
            None => self.view.code(hash),
        }
    }

    /// The hash of a block.
    pub(super) fn peek_block_hash(&self, number: u64) -> Result<B256, StateError> {
        match self.block_hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.view.block_hash(number),
        }
    }
}

/// What of these slots goes into a difference that their accounts are in: all but what was wiped since.
fn slot_diffs<'a>(
    accounts: &'a [Cached],
    slots: impl Iterator<Item = &'a Slot> + Clone,
) -> impl Iterator<Item = (u32, SlotDiff)> + Clone {
    slots.filter_map(|slot| {
        let owner = &accounts[slot.owner as usize];
        (slot.epoch == owner.epoch).then_some((owner.place_in_diff, (slot.key, slot.value)))
    })
}

/// Past this, transfers go through the EVM, which knows when a balance overflows: 2^192.
const BALANCE_MAX: U256 = U256::from_limbs([0, 0, 0, 1]);

/// The block's beneficiary and, on a rollup, the vaults.
pub(crate) type FeeRecipients = [Address; 4];

/// What a plain transfer does, worked out from the transaction and the block's prices alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transfer {
    pub(crate) sender: Address,
    pub(crate) nonce: u64,
    pub(crate) recipient: Address,
    pub(crate) value: U256,
    /// What the sender must have: value and fees at their caps.
    pub(crate) funds_min: U256,
    /// What the sender pays in the end, the value included.
    pub(crate) cost: U256,
}

impl Cached {
    fn new(address: Address, account: Option<Account>) -> Self {
        Self {
            address,
            account,
            pending: U256::ZERO,
            dirty: false,
            changed: false,
            newly_wiped: false,
            epoch: 0,
            place_in_diff: 0,
            access: Access::None,
        }
    }

    fn code_name(&self) -> Option<CodeName> {
        self.account?.bytecode_hash.as_ref().map(code_name)
    }

    /// How it differs, at this place of a difference.
    fn diff(&mut self, wiped: bool, place: usize) -> AccountDiff {
        self.place_in_diff = place as u32;
        AccountDiff { address: self.address, account: self.account, wiped }
    }

    /// Notes that the account changed.
    pub(super) fn mark(&mut self, place: u32, dirty: &mut Vec<u32>) {
        self.access = Access::Written;
        self.mark_storage(place, dirty);
    }

    /// Notes that its storage did. Who reads the account itself, as every call does for the code, need not care.
    pub(super) fn mark_storage(&mut self, place: u32, dirty: &mut Vec<u32>) {
        self.changed = true;
        if !self.dirty {
            self.dirty = true;
            dirty.push(place);
        }
    }
}

impl Slot {
    const fn new(owner: u32, key: U256, value: U256, epoch: u32) -> Self {
        Self { owner, key, value, dirty: false, changed: false, epoch, access: Access::None }
    }
}

impl Database for Overlay {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        let place = self.load(address)?;
        let cached = &mut self.accounts[place as usize];
        if let Some(touches) = &mut self.touches {
            touches.add(Key::account(place));
            cached.access = cached.access.max(Access::Read);
            // What accrues here depends on every transaction before this one, in whichever lane.
            if self.fee_recipients.contains(&address) {
                touches.add_unknowable(Key::account(place));
            }
        }
        // One that does not exist is the same as an empty one since EIP-161, and revm would reach for its shared empty
        // code to tell them apart.
        let account = cached.account.unwrap_or_default();
        let code = account.bytecode_hash.is_none().then(|| self.codes.empty());
        Ok(Some(AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.bytecode_hash.unwrap_or(KECCAK_EMPTY),
            // Saves looking the account up again for each of its slots, and when it has changed.
            account_id: AccountId::new(place as usize),
            code,
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        let (deployed, view) = (&self.deployed, &self.view);
        self.codes.get(hash, || {
            match deployed.iter().rev().find(|(deployed, _)| *deployed == hash) {
                Some((_, code)) => Ok(code.clone()),
                None => view.code(&hash),
            }
        })
    }

    fn storage(&mut self, address: Address, key: U256) -> Result<U256, StateError> {
        let owner = self.place(address)?;
        self.slot(owner, key)
    }

    fn storage_by_account_id(
        &mut self,
        _: Address,
        place: AccountId,
        key: U256,
    ) -> Result<U256, StateError> {
        self.slot(place.get() as u32, key)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        match self.block_hashes.entry(number) {
            MapEntry::Occupied(entry) => Ok(*entry.get()),
            MapEntry::Vacant(entry) => Ok(*entry.insert(self.view.block_hash(number)?)),
        }
    }
}

impl std::fmt::Debug for Overlay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Overlay").field("accounts", &self.accounts.len()).finish_non_exhaustive()
    }
}
