//! One trie, in one arena while it is small, in 256 when it is large.
//!
//! The subtrees below the first two nibbles share nothing, so each core may take its own; what is above them is 17
//! branches that are made from the 256 roots when somebody asks. Large means that those 17 really are branches. Where
//! deletions end that, the trie goes back to one arena: what is stored and hashed is the same either way.

use alloy_primitives::{B256, Bytes};
use alloy_trie::EMPTY_ROOT_HASH;
use rayon::prelude::*;

use super::{
    arena::Arena,
    batch::{Batch, Keyed},
    collect::Records,
    hash::{self, hash_branches},
    node::{BranchFlags, Kind, Link, NodeRef},
    path::{NibblePath, with_nibble},
    record,
    rlp::{Branch, Leaf, Reference},
    source::{NodeSource, TrieError, TrieId},
    subtree::Subtree,
    update::Change,
};

/// From this size on a trie is worth 256 arenas: some thousands of leaves.
const SPLIT_BYTES: usize = 512 << 10;

/// A trie.
#[derive(Debug)]
pub(super) struct Tree {
    id: TrieId,
    shape: Shape,
    /// The store has a record at the root's path.
    stored: bool,
    split_bytes: usize,
}

#[derive(Debug)]
enum Shape {
    Whole(Subtree),
    Split(Box<Split>),
}

/// A trie by the first byte of its keys.
#[derive(Debug)]
struct Split {
    shards: Vec<Subtree>,
    /// The branches at depth one. There is one for a nibble if it has shards that are not empty; then it has two.
    tops: [Top; 16],
    /// The root, a branch: there are two tops.
    root: Top,
    /// Tops that the store has and the trie has no longer (or has again).
    removed: Vec<NibblePath>,
}

/// A branch above the shards.
#[derive(Debug, Clone, Copy, Default)]
struct Top {
    reference: Reference,
    stale: bool,
    unsaved: bool,
    stored: bool,
}

impl Tree {
    /// The trie with this root, none of it in memory.
    pub(super) fn new(id: TrieId, root: &B256) -> Self {
        Self::with_split_bytes(id, root, SPLIT_BYTES)
    }

    pub(super) fn with_split_bytes(id: TrieId, root: &B256, split_bytes: usize) -> Self {
        let stored = *root != EMPTY_ROOT_HASH;
        let root =
            if stored { Link::stored(NodeRef::STUB, Reference::hash(*root)) } else { Link::EMPTY };
        Self { id, shape: Shape::Whole(Subtree::new(0, root)), stored, split_bytes }
    }

    /// Whether it changed since it was last hashed.
    pub(super) fn is_stale(&self) -> bool {
        match &self.shape {
            Shape::Whole(subtree) => subtree.root.stale,
            Shape::Split(split) => split.root.stale,
        }
    }

    /// Whether there is something to save.
    pub(super) fn is_unsaved(&self) -> bool {
        match &self.shape {
            Shape::Whole(subtree) => subtree.root.unsaved,
            Shape::Split(split) => split.root.unsaved,
        }
    }

    /// Whether the store may have records of it.
    pub(super) const fn is_stored(&self) -> bool {
        self.stored
    }

    /// The root, once hashed.
    pub(super) fn root(&self) -> B256 {
        match &self.shape {
            Shape::Whole(subtree) if subtree.root.node.is_empty() => EMPTY_ROOT_HASH,
            Shape::Whole(subtree) => subtree.root_reference().bytes,
            Shape::Split(split) => {
                assert!(!split.root.stale, "asked for the root of a trie that is not hashed");
                split.root.reference.bytes
            }
        }
    }

    /// Memory that this takes, besides itself.
    pub(super) fn memory_bytes(&self) -> usize {
        match &self.shape {
            Shape::Whole(subtree) => subtree.memory_bytes(),
            Shape::Split(split) => {
                let shards = split.shards.iter().map(Subtree::memory_bytes).sum::<usize>();
                shards + size_of::<Split>() + split.shards.capacity() * size_of::<Subtree>()
            }
        }
    }

    /// Loads what `batch` leads to. On an error nothing has changed.
    pub(super) fn load<K: Keyed, S: NodeSource>(
        &mut self,
        batch: &Batch<K>,
        source: &S,
    ) -> Result<(), TrieError<S::Error>> {
        let id = self.id;
        match &mut self.shape {
            Shape::Whole(subtree) => subtree.load(id, &batch.all(), source),
            Shape::Split(split) if batch.is_large() => (split.shards.par_iter_mut())
                .enumerate()
                .try_for_each(|(byte, shard)| shard.load(id, batch.shard(byte), source)),
            Shape::Split(split) => (split.shards.iter_mut())
                .enumerate()
                .try_for_each(|(byte, shard)| shard.load(id, batch.shard(byte), source)),
        }
    }

    /// Applies a batch that is loaded.
    pub(super) fn update<C: Change>(&mut self, batch: &Batch<C>) {
        let id = self.id;
        match &mut self.shape {
            Shape::Whole(subtree) => {
                subtree.update(&batch.all());
                self.split_if_large();
            }
            Shape::Split(split) => {
                if batch.is_large() {
                    (split.shards.par_iter_mut()).enumerate().for_each(|(byte, shard)| {
                        shard.warm(id, batch.shard(byte));
                        shard.update(batch.shard(byte));
                    });
                } else {
                    for (byte, shard) in split.shards.iter_mut().enumerate() {
                        shard.update(batch.shard(byte));
                    }
                }
                if !split.settle() {
                    self.join();
                }
            }
        }
    }

    /// The subtrees that are to be hashed before [`finish_hash`](Self::finish_hash).
    pub(super) fn stale_subtrees(&mut self) -> impl Iterator<Item = &mut Subtree> {
        let subtrees = match &mut self.shape {
            Shape::Whole(subtree) => std::slice::from_mut(subtree),
            Shape::Split(split) => &mut split.shards[..],
        };
        subtrees.iter_mut().filter(|subtree| subtree.root.stale)
    }

    /// Hashes what is above the subtrees, which are hashed.
    pub(super) fn finish_hash(&mut self) {
        if let Shape::Split(split) = &mut self.shape {
            split.hash();
        }
    }

    /// Hashes all that changed, and says the root.
    pub(super) fn hash(&mut self) -> B256 {
        hash::hash_parallel(self.stale_subtrees().collect());
        self.finish_hash();
        self.root()
    }

    /// The leaf with this key, loaded.
    pub(super) fn leaf(&self, key: &B256) -> Option<Leaf<'_>> {
        match &self.shape {
            Shape::Whole(subtree) => subtree.leaf(key),
            Shape::Split(split) => split.shards[usize::from(key[0])].leaf(key),
        }
    }

    /// The encodings of the nodes from the root to this key, loaded and hashed, or to where it would be.
    pub(super) fn prove(&self, key: &B256) -> Vec<Bytes> {
        let mut proof = Vec::new();
        match &self.shape {
            Shape::Whole(subtree) => subtree.prove(key, &mut proof),
            Shape::Split(split) => {
                let nibble = usize::from(key[0] >> 4);
                proof.push(split.encode_root().into());
                if split.present() & 1 << nibble != 0 {
                    // Two children or more: never so short that the root has it inline, unless they are inline too.
                    let top = split.encode_top(nibble);
                    if top.len() >= 32 {
                        proof.push(top.into());
                    }
                    split.shards[usize::from(key[0])].prove(key, &mut proof);
                }
            }
        }
        proof
    }

    /// The record at `path`, if what it tells is in memory.
    pub(super) fn record_at(&self, path: &NibblePath) -> Option<Vec<u8>> {
        match &self.shape {
            Shape::Whole(subtree) => match subtree.root.node.kind() {
                Kind::Leaf(_) | Kind::Extension(_) if path.is_empty() => {
                    Some(record::encode_root(&subtree.arena, &subtree.root))
                }
                _ => Some(subtree.encode_record(subtree.branch_at(path)?, path.len())),
            },
            Shape::Split(split) => match path.len() {
                0 => Some(split.root_record()),
                1 => {
                    let nibble = usize::from(path.as_key()[0] >> 4);
                    (split.present() & 1 << nibble != 0).then(|| split.top_record(nibble))
                }
                len => {
                    let shard = &split.shards[usize::from(path.as_key()[0])];
                    Some(shard.encode_record(shard.branch_at(path)?, len))
                }
            },
        }
    }

    /// Appends the records that changed, and takes them for saved.
    pub(super) fn take_records(&mut self, records: &mut Records) {
        let id = self.id;
        match &mut self.shape {
            Shape::Whole(subtree) => {
                let unsaved = subtree.root.unsaved;
                subtree.take_records(id, &NibblePath::ROOT, records);
                if unsaved {
                    let stored = std::mem::replace(&mut self.stored, !subtree.root.node.is_empty());
                    let record = match subtree.root.node.kind() {
                        Kind::Leaf(_) | Kind::Extension(_) => {
                            Some(record::encode_root(&subtree.arena, &subtree.root))
                        }
                        Kind::Empty if stored => None,
                        _ => return,
                    };
                    records.push((id, NibblePath::ROOT, record));
                }
            }
            Shape::Split(split) => {
                split.take_records(id, records);
                self.stored = true;
            }
        }
    }

    /// How many parts [`evict`](Self::evict) can be asked for.
    pub(super) fn parts(&self) -> usize {
        match &self.shape {
            Shape::Whole(_) => 1,
            Shape::Split(split) => split.shards.len(),
        }
    }

    /// Lets go of what is cold in one part, and moves the rest together.
    pub(super) fn evict(&mut self, part: usize) {
        match &mut self.shape {
            Shape::Whole(subtree) => subtree.evict(),
            Shape::Split(split) => split.shards[part].evict(),
        }
    }

    fn split_if_large(&mut self) {
        let Shape::Whole(subtree) = &mut self.shape else { return };
        let arena = &subtree.arena;
        let Kind::Branch(root) = subtree.root.node.kind() else { return };
        if arena.live_bytes() < self.split_bytes {
            return;
        }
        let head = arena.branch_head(root);
        let children = arena.branch_links(root, &head);
        let mut tops = [Top::default(); 16];
        let mut shards: Vec<Subtree> = (0..256).map(|_| Subtree::empty(2)).collect();
        for (nibble, link) in children.iter().enumerate() {
            match link.node.kind() {
                Kind::Empty => {}
                Kind::Branch(block) => {
                    let head = arena.branch_head(block);
                    for (below, link) in arena.branch_links(block, &head).into_iter().enumerate() {
                        let shard = &mut shards[nibble * 16 + below];
                        shard.root = shard.adopt(arena, link);
                    }
                    tops[nibble] = Top {
                        reference: link.reference,
                        stale: link.stale,
                        unsaved: head.flags.has(BranchFlags::UNSAVED),
                        stored: head.flags.has(BranchFlags::STORED),
                    };
                }
                Kind::Stub | Kind::Leaf(_) | Kind::Extension(_) => return,
            }
        }
        let root = Top {
            reference: subtree.root.reference,
            stale: subtree.root.stale,
            unsaved: subtree.root.unsaved,
            stored: self.stored,
        };
        let mut removed = std::mem::take(&mut subtree.removed);
        for path in removed.extract_if(.., |path| path.len() > 1) {
            shards[usize::from(path.as_key()[0])].removed.push(path);
        }
        self.shape = Shape::Split(Box::new(Split { shards, tops, root, removed }));
    }

    /// Back to one arena: a branch above the shards has lost its right to be one.
    fn join(&mut self) {
        let Shape::Split(split) = &mut self.shape else { return };
        let mut whole = Subtree::empty(0);
        whole.removed = std::mem::take(&mut split.removed);
        let mut tops = [Link::EMPTY; 16];
        for (nibble, top) in split.tops.iter().enumerate() {
            let mut links = [Link::EMPTY; 16];
            for (below, shard) in split.shards[nibble * 16..][..16].iter_mut().enumerate() {
                whole.removed.append(&mut shard.removed);
                links[below] = whole.adopt(&shard.arena, shard.root);
            }
            let path = NibblePath::prefix(&with_nibble(B256::ZERO, 0, nibble), 1);
            tops[nibble] = whole.join(&path, &links, top);
        }
        whole.root = whole.join(&NibblePath::ROOT, &tops, &split.root);
        self.shape = Shape::Whole(whole);
    }
}

impl Subtree {
    /// The node with these children, where there was the branch `top`.
    fn join(&mut self, path: &NibblePath, links: &[Link; 16], top: &Top) -> Link {
        let mut present = (0..16).filter(|nibble| !links[*nibble].node.is_empty());
        let (first, second) = (present.next(), present.next());
        let Some(first) = first else {
            if top.stored {
                self.removed.push(*path);
            }
            // A root that lost everything did change; a top that was not there did not.
            return if path.is_empty() { Link::changed(NodeRef::EMPTY) } else { Link::EMPTY };
        };
        if second.is_some() {
            let flag = |has, flag| if has { flag } else { BranchFlags::default() };
            let flags = flag(top.unsaved, BranchFlags::UNSAVED)
                .with(flag(top.stored, BranchFlags::STORED))
                .with(BranchFlags::TOUCHED);
            let node = self.arena.new_branch(links, flags);
            let Top { reference, stale, unsaved, .. } = *top;
            return Link { node, reference, stale, unsaved };
        }
        if top.stored {
            self.removed.push(*path);
        }
        let link = &links[first];
        Link::changed(match link.node.kind() {
            Kind::Branch(_) | Kind::Stub => {
                let key = with_nibble(*path.as_key(), path.len(), first);
                self.arena.new_extension(&key, path.len() + 1, link)
            }
            _ => link.node,
        })
    }
}

impl Split {
    /// Which tops there are.
    fn present(&self) -> u16 {
        (0..16).filter(|nibble| self.mask(*nibble) != 0).fold(0, |mask, nibble| mask | 1 << nibble)
    }

    /// Which children a top has.
    fn mask(&self, nibble: usize) -> u16 {
        let shards = self.shards[nibble * 16..][..16].iter().enumerate();
        shards
            .filter(|(_, shard)| !shard.root.node.is_empty())
            .fold(0, |mask, (at, _)| mask | 1 << at)
    }

    /// Brings the tops up to date with the shards. Whether they still are branches, and the root too.
    fn settle(&mut self) -> bool {
        let mut branches = 0;
        let mut all = true;
        for nibble in 0..16 {
            let changed = self.shards[nibble * 16..][..16].iter().any(|shard| shard.root.stale);
            let mask = self.mask(nibble);
            let top = &mut self.tops[nibble];
            if changed {
                (top.stale, top.unsaved) = (true, true);
                (self.root.stale, self.root.unsaved) = (true, true);
            }
            match mask.count_ones() {
                0 => {
                    if top.stored {
                        let path = with_nibble(B256::ZERO, 0, nibble);
                        self.removed.push(NibblePath::prefix(&path, 1));
                    }
                    *top = Top::default();
                }
                1 => all = false,
                _ => branches += 1,
            }
        }
        all && branches > 1
    }

    fn hash(&mut self) {
        if !self.root.stale {
            return;
        }
        let stale = (0..16).filter(|nibble| self.tops[*nibble].stale).collect::<Vec<_>>();
        let encodings: Vec<_> = stale.iter().map(|nibble| self.encode_top(*nibble)).collect();
        for (nibble, reference) in stale.into_iter().zip(hash_branches(&encodings)) {
            let top = &mut self.tops[nibble];
            (top.reference, top.stale) = (reference, false);
        }
        let root = alloy_primitives::keccak256(self.encode_root());
        (self.root.reference, self.root.stale) = (Reference::hash(root), false);
    }

    fn encode_top(&self, nibble: usize) -> Vec<u8> {
        encode(&self.shards[nibble * 16..][..16], |shard| {
            (!shard.root.node.is_empty()).then(|| shard.root_reference())
        })
    }

    fn encode_root(&self) -> Vec<u8> {
        let present = self.present();
        let nibbles: [usize; 16] = std::array::from_fn(|nibble| nibble);
        encode(&nibbles, |nibble| {
            (present & 1 << nibble != 0).then(|| self.tops[*nibble].reference)
        })
    }

    fn top_record(&self, nibble: usize) -> Vec<u8> {
        record::encode_branch(2, self.mask(nibble), |below| {
            let shard = &self.shards[nibble * 16 + below];
            (&shard.arena, shard.root)
        })
    }

    fn root_record(&self) -> Vec<u8> {
        const NOTHING: &Arena = &Arena::new();
        record::encode_branch(1, self.present(), |nibble| {
            (NOTHING, Link::stored(NodeRef::STUB, self.tops[nibble].reference))
        })
    }

    fn take_records(&mut self, id: TrieId, records: &mut Records) {
        if std::mem::take(&mut self.root.unsaved) {
            records.push((id, NibblePath::ROOT, Some(self.root_record())));
        }
        let present = self.present();
        for nibble in 0..16 {
            if present & 1 << nibble != 0 && std::mem::take(&mut self.tops[nibble].unsaved) {
                let path = NibblePath::prefix(&with_nibble(B256::ZERO, 0, nibble), 1);
                records.push((id, path, Some(self.top_record(nibble))));
                self.tops[nibble].stored = true;
            }
        }
        let mut removed = std::mem::take(&mut self.removed);
        removed.sort_unstable();
        removed.dedup();
        removed.retain(|path| !path.is_empty() && present & 1 << (path.as_key()[0] >> 4) == 0);
        records.extend(removed.into_iter().map(|path| (id, path, None)));
        self.root.stored = true;
        let taken: Vec<Records> = (self.shards.par_iter_mut().enumerate())
            .map(|(byte, shard)| {
                let mut records = Records::new();
                let mut key = B256::ZERO;
                key[0] = byte as u8;
                shard.take_records(id, &NibblePath::prefix(&key, 2), &mut records);
                records
            })
            .collect();
        records.extend(taken.into_iter().flatten());
    }
}

/// The encoding of a branch with these children.
fn encode<T>(children: &[T], reference: impl Fn(&T) -> Option<Reference>) -> Vec<u8> {
    let (mut mask, mut inline, mut references) = (0, 0, Vec::with_capacity(16));
    for (nibble, child) in children.iter().enumerate() {
        if let Some(reference) = reference(child) {
            mask |= 1 << nibble;
            inline |= u16::from(reference.inline) << nibble;
            references.push(reference.bytes.0);
        }
    }
    let branch = Branch { mask, inline, references: &references };
    let mut encoding = vec![0; branch.len()];
    branch.write(&mut encoding);
    encoding
}
