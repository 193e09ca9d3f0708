//! Records: what the store keeps of a trie.
//!
//! A record is a branch with everything beneath it that is not another branch: leaves with their keys and values,
//! extensions with their paths; of the branches below, the hash alone. So a changed leaf costs one record a level and
//! none of its own (half as many as node by node, and a leaf's branch changes with it anyhow), a read brings a branch
//! and its leaves at once, and every stub in memory is known to be a branch. A root that is no branch has a record
//! too, at the empty path.
//!
//! ```text
//! record     1 · mask 2 · child × n  |  0 · child          the second for a root that is no branch
//! child      0 · hash 32                                   a branch
//!            1 · encoding, that begins with its length     a branch that Ethereum inlines
//!            2 · form 1 · length 1 · payload · key         a leaf; of the key, the bytes that the path lacks
//!            3 or 4 · end 1 · key · as after 0 or 1        an extension to a branch at depth `end`; likewise
//! ```

use alloy_primitives::B256;

use super::{
    arena::Arena,
    node::{BranchFlags, Kind, Link, NodeRef, bits},
    path::{NIBBLES, NibblePath, common_nibbles, with_nibble},
    rlp::{Branch, Extension, Leaf, Reference, inline_len},
    value::{Form, VALUE_BYTES_MAX, ValueRef},
};

const BRANCH: u8 = 1;
const ROOT: u8 = 0;

const CHILD_HASH: u8 = 0;
const CHILD_INLINE: u8 = 1;
const CHILD_LEAF: u8 = 2;
const CHILD_EXTENSION_HASH: u8 = 3;
const CHILD_EXTENSION_INLINE: u8 = 4;

/// The record of a branch with these children, which begin at `depth` in `arena(nibble)`.
pub(super) fn encode_branch<'a>(
    depth: usize,
    mask: u16,
    mut child: impl FnMut(usize) -> (&'a Arena, Link),
) -> Vec<u8> {
    let mut record = Vec::with_capacity(3 + 40 * mask.count_ones() as usize);
    record.push(BRANCH);
    record.extend_from_slice(&mask.to_le_bytes());
    for nibble in bits(mask) {
        let (arena, link) = child(nibble);
        encode_child(&mut record, arena, &link, depth);
    }
    record
}

/// The record of a root that is no branch.
pub(super) fn encode_root(arena: &Arena, root: &Link) -> Vec<u8> {
    let mut record = vec![ROOT];
    encode_child(&mut record, arena, root, 0);
    record
}

fn encode_child(record: &mut Vec<u8>, arena: &Arena, link: &Link, depth: usize) {
    let reference = |record: &mut Vec<u8>, reference: &Reference| {
        let len = if reference.inline { inline_len(&reference.bytes) } else { 32 };
        record.extend_from_slice(&reference.bytes[..len]);
    };
    match link.node.kind() {
        Kind::Empty => unreachable!("an absent child has no encoding"),
        Kind::Branch(_) | Kind::Stub => {
            record.push(if link.reference.inline { CHILD_INLINE } else { CHILD_HASH });
            reference(record, &link.reference);
        }
        Kind::Leaf(block) => {
            let Leaf { key, value } = arena.leaf(block);
            record.extend_from_slice(&[CHILD_LEAF, value.form as u8, value.payload.len() as u8]);
            record.extend_from_slice(value.payload);
            record.extend_from_slice(&key[depth / 2..]);
        }
        Kind::Extension(block) => {
            let Extension { key, end, child } = arena.extension(block);
            let tag = if child.inline { CHILD_EXTENSION_INLINE } else { CHILD_EXTENSION_HASH };
            record.extend_from_slice(&[tag, end as u8]);
            let key = NibblePath::prefix(key, end);
            record.extend_from_slice(&key.as_key()[depth / 2..end.div_ceil(2)]);
            reference(record, &child);
        }
    }
}

/// A record as read: its lengths and structure are sound, its hash is not checked.
#[expect(clippy::large_enum_variant, reason = "read and dropped at once; nobody keeps these")]
pub(super) enum Record<'a> {
    Root(Child<'a>),
    Branch { mask: u16, children: [Option<Child<'a>>; 16] },
}

/// A child in a record.
#[derive(Clone, Copy)]
pub(super) enum Child<'a> {
    Branch(Reference),
    Leaf { key: B256, value: ValueRef<'a> },
    Extension { key: B256, end: usize, child: Reference },
}

/// What is wrong with a record.
type Flaw = &'static str;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("it is cut short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(self.take(1)?[0])
    }

    fn reference(&mut self, inline: bool) -> Result<Reference, Flaw> {
        if !inline {
            return Ok(Reference::hash(B256::from_slice(self.take(32)?)));
        }
        let len = match self.0.first() {
            Some(head @ 0xc0..0xdf) => usize::from(head - 0xc0) + 1,
            _ => return Err("an inlined node has no length"),
        };
        Ok(Reference::inline(self.take(len)?))
    }

    /// A key that begins with the first `depth` nibbles of `path`, from its bytes up to nibble `end`.
    fn key(&mut self, path: &B256, depth: usize, end: usize) -> Result<B256, Flaw> {
        let mut key = *path;
        let (from, to) = (depth / 2, end.div_ceil(2));
        key[from..to].copy_from_slice(self.take(to - from)?);
        if common_nibbles(&key, path) < depth {
            return Err("a child lies on another path");
        }
        Ok(key)
    }

    /// A child that begins at `depth`, where its path is that of `path`.
    fn child(&mut self, path: &B256, depth: usize) -> Result<Child<'a>, Flaw> {
        Ok(match self.byte()? {
            CHILD_HASH => Child::Branch(self.reference(false)?),
            CHILD_INLINE => Child::Branch(self.reference(true)?),
            CHILD_LEAF => {
                let form = Form::from_byte(self.byte()?).ok_or("a leaf has no known form")?;
                let len = usize::from(self.byte()?);
                if !(1..=VALUE_BYTES_MAX).contains(&len) {
                    return Err("a leaf's value is empty or too long");
                }
                let payload = self.take(len)?;
                Child::Leaf {
                    key: self.key(path, depth, NIBBLES)?,
                    value: ValueRef { form, payload },
                }
            }
            tag @ (CHILD_EXTENSION_HASH | CHILD_EXTENSION_INLINE) => {
                let end = usize::from(self.byte()?);
                if end <= depth || end >= NIBBLES {
                    return Err("an extension ends where it cannot");
                }
                let key = self.key(path, depth, end)?;
                if end % 2 == 1 && key[end / 2] & 15 != 0 {
                    return Err("an extension's path has a nibble left over");
                }
                Child::Extension { key, end, child: self.reference(tag == CHILD_EXTENSION_INLINE)? }
            }
            _ => return Err("a child has no known kind"),
        })
    }
}

impl<'a> Record<'a> {
    /// How many stubs there will be in its place.
    pub(super) fn stubs(&self) -> usize {
        match self {
            Self::Root(child) => usize::from(child.is_stub()),
            Self::Branch { children, .. } => {
                children.iter().flatten().filter(|child| child.is_stub()).count()
            }
        }
    }

    /// Reads a record that was stored at `path`.
    pub(super) fn decode(record: &'a [u8], path: &NibblePath) -> Result<Self, Flaw> {
        let mut reader = Reader(record);
        let decoded = match reader.byte()? {
            ROOT if path.is_empty() => Self::Root(reader.child(path.as_key(), 0)?),
            BRANCH if path.len() < NIBBLES => {
                let mask = reader.take(2)?;
                let mask = u16::from_le_bytes([mask[0], mask[1]]);
                if mask.count_ones() < 2 {
                    return Err("a branch has fewer than two children");
                }
                let mut children = [None; 16];
                for nibble in bits(mask) {
                    let below = with_nibble(*path.as_key(), path.len(), nibble);
                    children[nibble] = Some(reader.child(&below, path.len() + 1)?);
                }
                Self::Branch { mask, children }
            }
            _ => return Err("it has no known kind"),
        };
        if reader.0.is_empty() { Ok(decoded) } else { Err("it has bytes left over") }
    }

    /// Puts the record's nodes, which begin at `depth`, into an arena, if they are what `expected` commits to.
    pub(super) fn load(
        &self,
        depth: usize,
        expected: &Reference,
        arena: &mut Arena,
    ) -> Result<NodeRef, Flaw> {
        const MISMATCH: Flaw = "its hash is another";
        match self {
            Self::Root(child) => {
                if matches!(child, Child::Branch(_)) {
                    return Err("a root that is a branch is told by hash alone");
                }
                // A root is always told by hash, however short it is.
                if keccak(&child.encode(depth)) != expected.bytes {
                    return Err(MISMATCH);
                }
                Ok(child.place(arena))
            }
            Self::Branch { mask, children } => {
                let mut references = [[0; 32]; 16];
                let mut all = [Reference::default(); 16];
                let (mut count, mut inline) = (0, 0);
                for (nibble, child) in children.iter().enumerate() {
                    let Some(child) = child else { continue };
                    let reference = match child {
                        Child::Branch(reference) => *reference,
                        _ => Reference::of(&child.encode(depth + 1)),
                    };
                    inline |= u16::from(reference.inline) << nibble;
                    references[count] = reference.bytes.0;
                    all[nibble] = reference;
                    count += 1;
                }
                let branch = Branch { mask: *mask, inline, references: &references[..count] };
                let mut encoding = vec![0; branch.len()];
                branch.write(&mut encoding);
                let actual = if expected.inline || depth > 0 {
                    Reference::of(&encoding)
                } else {
                    Reference::hash(keccak(&encoding))
                };
                if actual != *expected {
                    return Err(MISMATCH);
                }
                let mut links = [Link::EMPTY; 16];
                for (nibble, child) in children.iter().enumerate() {
                    if let Some(child) = child {
                        links[nibble] = Link::stored(child.place(arena), all[nibble]);
                    }
                }
                Ok(arena.new_branch(&links, BranchFlags::STORED.with(BranchFlags::TOUCHED)))
            }
        }
    }
}

impl Child<'_> {
    fn encode(&self, depth: usize) -> Vec<u8> {
        match self {
            Self::Branch(_) => unreachable!("told by reference"),
            Self::Leaf { key, value } => {
                let leaf = Leaf { key, value: *value };
                let mut encoding = vec![0; leaf.len(depth)];
                leaf.write(depth, &mut encoding);
                encoding
            }
            Self::Extension { key, end, child } => {
                let extension = Extension { key, end: *end, child: *child };
                let mut encoding = vec![0; extension.len(depth)];
                extension.write(depth, &mut encoding);
                encoding
            }
        }
    }

    /// Whether placing it leaves a stub.
    const fn is_stub(&self) -> bool {
        !matches!(self, Self::Leaf { .. })
    }

    fn place(&self, arena: &mut Arena) -> NodeRef {
        match self {
            Self::Branch(_) => NodeRef::STUB,
            Self::Leaf { key, value } => arena.new_leaf(key, *value),
            Self::Extension { key, end, child } => {
                arena.new_extension(key, *end, &Link::stored(NodeRef::STUB, *child))
            }
        }
    }
}

fn keccak(bytes: &[u8]) -> B256 {
    alloy_primitives::keccak256(bytes)
}
