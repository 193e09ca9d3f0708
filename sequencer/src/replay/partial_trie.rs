//! A Merkle Patricia trie of which only some nodes are known: those that a witness carries.
//!
//! Nodes are decoded when a walk reaches them, and changed ones stay in memory. Whatever needs an unknown node is an
//! error that names it, so an incomplete witness can never lead to a wrong root.

use alloy_primitives::{B256, Bytes, map::B256Map};
use alloy_rlp::Decodable;
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

/// Bytes by their hash.
pub(super) type Preimages = B256Map<Bytes>;

/// Why a trie cannot be walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TrieError {
    /// The witness lacks a node.
    #[error("the witness lacks the preimage of {0}")]
    Missing(B256),
    /// A node's bytes are not the RLP of one.
    #[error("not a trie node: {0}")]
    Malformed(#[from] alloy_rlp::Error),
}

/// Looks a key up, without remembering anything.
pub(super) fn get(
    preimages: &Preimages,
    root: B256,
    key: B256,
) -> Result<Option<Vec<u8>>, TrieError> {
    let mut path = Nibbles::unpack(key);
    let mut node = Node::Unknown(root).resolved(preimages)?;
    loop {
        let child = match node {
            Node::Empty => return Ok(None),
            Node::Leaf { path: rest, value } => return Ok((rest == path).then_some(value)),
            Node::Extension { path: prefix, child } => {
                if !path.starts_with(&prefix) {
                    return Ok(None);
                }
                path = path.slice(prefix.len()..);
                *child
            }
            Node::Branch(mut children) => {
                // Keys are all of one length, so a branch is never where one ends.
                let Some(nibble) = path.first() else { return Ok(None) };
                path = path.slice(1..);
                std::mem::take(&mut children[usize::from(nibble)])
            }
            Node::Unknown(_) => unreachable!("a resolved node is known"),
        };
        node = child.resolved(preimages)?;
    }
}

/// A trie that changes are applied to.
#[derive(Debug)]
pub(super) struct PartialTrie<'a> {
    preimages: &'a Preimages,
    root: Node,
}

#[derive(Debug, Default)]
enum Node {
    #[default]
    Empty,
    /// Known by its hash only, so far.
    Unknown(B256),
    Leaf {
        path: Nibbles,
        value: Vec<u8>,
    },
    Extension {
        path: Nibbles,
        child: Box<Node>,
    },
    Branch(Box<[Node; 16]>),
}

impl<'a> PartialTrie<'a> {
    pub(super) fn new(preimages: &'a Preimages, root: B256) -> Self {
        Self { preimages, root: Node::Unknown(root) }
    }

    /// Sets a key's value.
    pub(super) fn insert(&mut self, key: B256, value: Vec<u8>) -> Result<(), TrieError> {
        let root = std::mem::take(&mut self.root);
        self.root = root.insert(self.preimages, Nibbles::unpack(key), value)?;
        Ok(())
    }

    /// Removes a key, if it is there.
    ///
    /// A branch with one child left merges with it, so that child must be known. Insert before removing: a branch that
    /// is filled again first needs no merging.
    pub(super) fn remove(&mut self, key: B256) -> Result<(), TrieError> {
        let root = std::mem::take(&mut self.root);
        self.root = root.remove(self.preimages, Nibbles::unpack(key))?;
        Ok(())
    }

    /// The root's hash.
    pub(super) fn root(&self) -> B256 {
        match &self.root {
            Node::Empty => EMPTY_ROOT_HASH,
            Node::Unknown(hash) => *hash,
            node => alloy_primitives::keccak256(node.encoded()),
        }
    }
}

impl Node {
    /// The node itself, where only its hash was known.
    fn resolved(self, preimages: &Preimages) -> Result<Self, TrieError> {
        let Self::Unknown(hash) = self else { return Ok(self) };
        if hash == EMPTY_ROOT_HASH {
            return Ok(Self::Empty);
        }
        Self::decode(preimages.get(&hash).ok_or(TrieError::Missing(hash))?)
    }

    fn decode(mut rlp: &[u8]) -> Result<Self, TrieError> {
        let child = |node: &RlpNode| match node.as_hash() {
            Some(hash) => Ok(Self::Unknown(hash)),
            None => Self::decode(node),
        };
        Ok(match TrieNode::decode(&mut rlp)? {
            TrieNode::EmptyRoot => Self::Empty,
            TrieNode::Leaf(leaf) => Self::Leaf { path: leaf.key, value: leaf.value },
            TrieNode::Extension(extension) => {
                Self::Extension { path: extension.key, child: Box::new(child(&extension.child)?) }
            }
            TrieNode::Branch(branch) => {
                let mut children = Box::<[Self; 16]>::default();
                for (nibble, node) in branch.as_ref().children() {
                    if let Some(node) = node {
                        children[usize::from(nibble)] = child(node)?;
                    }
                }
                Self::Branch(children)
            }
        })
    }

    fn insert(
        self,
        preimages: &Preimages,
        path: Nibbles,
        value: Vec<u8>,
    ) -> Result<Self, TrieError> {
        match self.resolved(preimages)? {
            Self::Empty => Ok(Self::Leaf { path, value }),
            Self::Leaf { path: old_path, .. } if old_path == path => Ok(Self::Leaf { path, value }),
            Self::Leaf { path: old_path, value: old_value } => {
                let shared = old_path.common_prefix_length(&path);
                let mut children = Box::<[Self; 16]>::default();
                for (path, value) in [(old_path, old_value), (path, value)] {
                    children[usize::from(path.get_unchecked(shared))] =
                        Self::Leaf { path: path.slice(shared + 1..), value };
                }
                Ok(Self::Branch(children).behind(path.slice(..shared)))
            }
            Self::Extension { path: prefix, child } => {
                let shared = prefix.common_prefix_length(&path);
                if shared == prefix.len() {
                    let child = child.insert(preimages, path.slice(shared..), value)?;
                    return Ok(Self::Extension { path: prefix, child: Box::new(child) });
                }
                let mut children = Box::<[Self; 16]>::default();
                children[usize::from(prefix.get_unchecked(shared))] =
                    child.behind(prefix.slice(shared + 1..));
                children[usize::from(path.get_unchecked(shared))] =
                    Self::Leaf { path: path.slice(shared + 1..), value };
                Ok(Self::Branch(children).behind(path.slice(..shared)))
            }
            Self::Branch(mut children) => {
                let child = &mut children[usize::from(path.get_unchecked(0))];
                *child = std::mem::take(child).insert(preimages, path.slice(1..), value)?;
                Ok(Self::Branch(children))
            }
            Self::Unknown(_) => unreachable!("a resolved node is known"),
        }
    }

    fn remove(self, preimages: &Preimages, path: Nibbles) -> Result<Self, TrieError> {
        match self.resolved(preimages)? {
            Self::Leaf { path: leaf_path, .. } if leaf_path == path => Ok(Self::Empty),
            Self::Extension { path: prefix, child } if path.starts_with(&prefix) => {
                let child = child.remove(preimages, path.slice(prefix.len()..))?;
                Ok(child.behind(prefix))
            }
            Self::Branch(mut children) => {
                let child = &mut children[usize::from(path.get_unchecked(0))];
                *child = std::mem::take(child).remove(preimages, path.slice(1..))?;
                let is_left = |child: &Self| !matches!(child, Self::Empty);
                if children.iter().filter(|child| is_left(child)).count() > 1 {
                    return Ok(Self::Branch(children));
                }
                let last = children.iter().position(is_left).unwrap_or_default();
                let child = std::mem::take(&mut children[last]).resolved(preimages)?;
                Ok(child.behind(Nibbles::from_nibbles([last as u8])))
            }
            node => Ok(node),
        }
    }

    /// The node at the end of a path. Paths merge, as the trie has only one form.
    fn behind(self, prefix: Nibbles) -> Self {
        if prefix.is_empty() {
            return self;
        }
        match self {
            Self::Empty => Self::Empty,
            Self::Leaf { path, value } => Self::Leaf { path: prefix.join(&path), value },
            Self::Extension { path, child } => Self::Extension { path: prefix.join(&path), child },
            node => Self::Extension { path: prefix, child: Box::new(node) },
        }
    }

    /// How the node's parent refers to it.
    fn reference(&self) -> RlpNode {
        match self {
            Self::Unknown(hash) => RlpNode::word_rlp(hash),
            node => RlpNode::from_rlp(&node.encoded()),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        use alloy_rlp::Encodable;

        let mut out = Vec::new();
        match self {
            Self::Empty | Self::Unknown(_) => out.push(alloy_rlp::EMPTY_STRING_CODE),
            Self::Leaf { path, value } => LeafNodeRef { key: path, value }.encode(&mut out),
            Self::Extension { path, child } => {
                ExtensionNodeRef { key: path, child: &child.reference() }.encode(&mut out);
            }
            Self::Branch(children) => {
                let mut mask = TrieMask::default();
                let mut stack = Vec::with_capacity(16);
                for (nibble, child) in (0u8..).zip(children.iter()) {
                    if !matches!(child, Self::Empty) {
                        mask.set_bit(nibble);
                        stack.push(child.reference());
                    }
                }
                BranchNodeRef::new(&stack, mask).encode(&mut out);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::keccak256;
    use alloy_trie::HashBuilder;
    use proptest::prelude::*;

    use super::*;

    /// The root as the published builder computes it.
    fn expected_root(entries: &std::collections::BTreeMap<B256, Vec<u8>>) -> B256 {
        let mut builder = HashBuilder::default();
        for (key, value) in entries {
            builder.add_leaf(Nibbles::unpack(key), value);
        }
        builder.root()
    }

    /// Every node of a trie, as a witness would carry it.
    fn preimages(node: &Node, out: &mut Preimages) {
        let rlp = node.encoded();
        out.insert(keccak256(&rlp), rlp.into());
        match node {
            Node::Extension { child, .. } => preimages(child, out),
            Node::Branch(children) => children.iter().for_each(|child| preimages(child, out)),
            _ => {}
        }
    }

    /// Few distinct first bytes and lengths of values, so that paths share prefixes and small nodes are inlined.
    fn key(seed: u8) -> B256 {
        let mut key = B256::ZERO;
        key[0] = seed & 0x13;
        key[31] = seed;
        key
    }

    proptest! {
        #[test]
        fn agrees_with_the_published_builder(
            before in prop::collection::btree_map(any::<u8>(), 1usize..40, 0..40),
            changes in prop::collection::vec((any::<u8>(), prop::option::of(1usize..40)), 0..60),
        ) {
            let empty = Preimages::default();
            let mut trie = PartialTrie::new(&empty, EMPTY_ROOT_HASH);
            let mut entries = std::collections::BTreeMap::new();
            for (seed, len) in before {
                trie.insert(key(seed), vec![seed | 1; len]).unwrap();
                entries.insert(key(seed), vec![seed | 1; len]);
            }
            prop_assert_eq!(trie.root(), expected_root(&entries));

            // The same trie again, of which every node must be looked up.
            let mut known = Preimages::default();
            preimages(&trie.root, &mut known);
            let root = trie.root();
            let mut trie = PartialTrie::new(&known, root);
            for (seed, len) in changes {
                match len {
                    Some(len) => {
                        trie.insert(key(seed), vec![seed | 1; len]).unwrap();
                        entries.insert(key(seed), vec![seed | 1; len]);
                    }
                    None => {
                        trie.remove(key(seed)).unwrap();
                        entries.remove(&key(seed));
                    }
                }
                prop_assert_eq!(trie.root(), expected_root(&entries));
            }
        }
    }

    #[test]
    fn reads_what_is_there_and_names_what_is_missing() {
        let empty = Preimages::default();
        let mut trie = PartialTrie::new(&empty, EMPTY_ROOT_HASH);
        for seed in 0..40u8 {
            trie.insert(keccak256([seed]), vec![seed + 1; 40]).unwrap();
        }
        let mut known = Preimages::default();
        preimages(&trie.root, &mut known);
        let root = trie.root();
        assert_eq!(get(&known, root, keccak256([7])), Ok(Some(vec![8; 40])));
        assert_eq!(get(&known, root, keccak256([77])), Ok(None));
        assert_eq!(get(&known, EMPTY_ROOT_HASH, keccak256([7])), Ok(None));

        known.remove(&root);
        assert_eq!(get(&known, root, keccak256([7])), Err(TrieError::Missing(root)));
        let mut trie = PartialTrie::new(&known, root);
        assert_eq!(trie.insert(B256::ZERO, vec![1]), Err(TrieError::Missing(root)));
    }
}
