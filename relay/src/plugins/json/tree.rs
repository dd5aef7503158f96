//! A document that unfolds only where it is changed.
//!
//! A value nobody looks into stays the text it was. One that a change leads through becomes
//! a list of members that still know the space around them. So a document is scanned at
//! most once per level, however many changes are made, and written once. The outermost level is
//! unfolded at once: nearly every change leads through it, and its scan checks the whole text.

use std::borrow::Cow;

use super::pointer::{Pointer, Token};
use super::scan::{self, Malformed, Members};

/// Steps of work that the answer of one call may cost: bytes scanned and members compared.
/// About 20 ms.
pub(crate) const WORK_MAX: usize = 16 << 20;

/// Members that there is room for at once: most objects have no more.
const MEMBERS_FEW: usize = 8;

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("`{0}` leads into a value that is neither an object nor an array")]
    Scalar(String),
    #[error("`{0}` is not an index of the array it leads into")]
    Index(String),
    #[error("the whole document cannot be taken away")]
    Root,
    #[error("a value cannot be moved into itself")]
    Inside,
    #[error("the changes need too much work on a document of this size")]
    TooMuchWork,
    #[error("the changes make the document more than {0} bytes longer")]
    TooLong(usize),
}

/// A JSON text under change.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    before: &'t str,
    root: Node<'t>,
    after: &'t str,
    budget: Budget,
}

/// What changes may still cost.
#[derive(Debug)]
struct Budget {
    work: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Budget {
    fn work(&mut self, steps: usize) -> Result<(), Error> {
        self.work = self.work.checked_sub(steps).ok_or(Error::TooMuchWork)?;
        Ok(())
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes = self
            .bytes
            .checked_sub(bytes)
            .ok_or(Error::TooLong(self.bytes_max))?;
        Ok(())
    }
}

#[derive(Debug)]
enum Node<'t> {
    /// A value that is not looked into, without the space around it.
    Text(Cow<'t, str>),
    Container(Container<'t>),
}

#[derive(Debug)]
struct Container<'t> {
    is_object: bool,
    members: Vec<Member<'t>>,
}

/// A member of an object, or an item of an array.
#[derive(Debug)]
struct Member<'t> {
    before: Cow<'t, str>,
    /// With its quotes; empty in an array.
    key: Cow<'t, str>,
    /// The colon and the space around it; empty in an array.
    colon: Cow<'t, str>,
    value: Node<'t>,
    after: Cow<'t, str>,
}

impl<'t> Document<'t> {
    /// Takes up a text; it may become up to `growth_max` bytes longer.
    pub(crate) fn parse(text: &'t str, growth_max: usize, work_max: usize) -> Result<Self, Error> {
        let mut budget = Budget {
            work: work_max,
            bytes: growth_max,
            bytes_max: growth_max,
        };
        budget.work(text.len())?;
        let start = scan::skip_space(text.as_bytes(), 0);
        let (root, end) = match Container::read(text, start, Cow::Borrowed)? {
            Some((container, end)) => {
                scan::nothing_behind(text.as_bytes(), end)?;
                // Its members take several times the memory of their text.
                budget.work(text.len())?;
                (Node::Container(container), end)
            }
            None => {
                let value = scan::document(text)?;
                (Node::Text(Cow::Borrowed(&text[value.clone()])), value.end)
            }
        };
        Ok(Self {
            before: &text[..start],
            after: &text[end..],
            root,
            budget,
        })
    }

    /// Creates or replaces a value; parents that are missing become objects.
    pub(crate) fn set(&mut self, at: &Pointer<'_>, value: &'t str) -> Result<(), Error> {
        let value = &value[scan::document(value)?];
        self.put(at, Node::Text(Cow::Borrowed(value)), value.len())
    }

    fn put(&mut self, at: &Pointer<'_>, value: Node<'t>, len: usize) -> Result<(), Error> {
        self.budget.grow(len)?;
        *self.place(at)?.0 = value;
        Ok(())
    }

    /// The place of a value, made if there is none.
    fn place(&mut self, at: &Pointer<'_>) -> Result<(&mut Node<'t>, &mut Budget), Error> {
        self.budget.work(1)?;
        let mut node = &mut self.root;
        for token in at.tokens() {
            node = node
                .unfold(&mut self.budget)?
                .ok_or_else(|| Error::Scalar(token.as_str().to_owned()))?
                .place(token, &mut self.budget)?;
        }
        Ok((node, &mut self.budget))
    }

    /// Takes a value away; an absent one is no error.
    pub(crate) fn remove(&mut self, at: &Pointer<'_>) -> Result<(), Error> {
        self.take(at).map(drop)
    }

    fn take(&mut self, at: &Pointer<'_>) -> Result<Option<Node<'t>>, Error> {
        let (last, parents) = at.tokens().split_last().ok_or(Error::Root)?;
        let Some(parent) = self.walk(parents)? else {
            return Ok(None);
        };
        // The borrow of `walk` ends before the budget is needed again.
        let (parent, budget) = parent;
        let Some(container) = parent.unfold(budget)? else {
            return Ok(None);
        };
        let Some(index) = container.position(last, budget)? else {
            return Ok(None);
        };
        Ok(Some(container.remove(index)))
    }

    /// Follows steps as far as they lead somewhere.
    fn walk(&mut self, tokens: &[Token<'_>]) -> Result<Option<(&mut Node<'t>, &mut Budget)>, Error> {
        self.budget.work(1)?;
        let mut node = &mut self.root;
        for token in tokens {
            let Some(container) = node.unfold(&mut self.budget)? else {
                return Ok(None);
            };
            let Some(index) = container.position(token, &mut self.budget)? else {
                return Ok(None);
            };
            node = &mut container.members[index].value;
        }
        Ok(Some((node, &mut self.budget)))
    }

    /// Moves a value; an absent one is no error.
    pub(crate) fn rename(&mut self, from: &Pointer<'_>, to: &Pointer<'_>) -> Result<(), Error> {
        if from == to {
            return Ok(());
        }
        if from.contains(to) {
            return Err(Error::Inside);
        }
        let Some(node) = self.take(from)? else {
            return Ok(());
        };
        // As text, so that values moved into each other do not make a deep tree.
        let text = node.into_text();
        self.budget.work(text.len())?;
        self.put(to, Node::Text(text), 0)
    }

    /// Copies a value; an absent one is no error.
    pub(crate) fn copy(&mut self, from: &Pointer<'_>, to: &Pointer<'_>) -> Result<(), Error> {
        let Some((node, budget)) = self.walk(from.tokens())? else {
            return Ok(());
        };
        let mut text = String::new();
        node.write(&mut text);
        budget.work(text.len())?;
        let len = text.len();
        self.put(to, Node::Text(Cow::Owned(text)), len)
    }

    /// Applies a JSON Merge Patch (RFC 7396) to a value.
    pub(crate) fn merge(&mut self, at: &Pointer<'_>, patch: &'t str) -> Result<(), Error> {
        let patch = &patch[scan::document(patch)?];
        self.budget.grow(patch.len())?;
        if !patch.starts_with('{') {
            *self.place(at)?.0 = Node::Text(Cow::Borrowed(patch));
            return Ok(());
        }
        // Not found again by its pointer: `-` means another place once it is taken.
        let (node, budget) = self.place(at)?;
        node.merge(patch, budget)
    }

    /// Writes the document, changed.
    pub(crate) fn into_text(self, len_hint: usize) -> String {
        let mut text = String::with_capacity(len_hint);
        text.push_str(self.before);
        self.root.write(&mut text);
        text.push_str(self.after);
        text
    }
}

impl<'t> Node<'t> {
    const fn empty_object() -> Self {
        Self::Container(Container {
            is_object: true,
            members: Vec::new(),
        })
    }

    /// The container that this value is; `None` for a scalar.
    fn unfold(&mut self, budget: &mut Budget) -> Result<Option<&mut Container<'t>>, Error> {
        if let Self::Text(text) = self {
            budget.work(text.len())?;
            let container = match text {
                Cow::Borrowed(text) => Container::read(text, 0, Cow::Borrowed)?,
                Cow::Owned(text) => Container::read(text, 0, |part| Cow::Owned(part.to_owned()))?,
            };
            let Some((container, _)) = container else {
                return Ok(None);
            };
            *self = Self::Container(container);
        }
        match self {
            Self::Container(container) => Ok(Some(container)),
            Self::Text(_) => Ok(None),
        }
    }

    /// `patch` is an object. Its depth, and so this recursion's, is at most
    /// [`scan::DEPTH_MAX`].
    fn merge(&mut self, patch: &'t str, budget: &mut Budget) -> Result<(), Error> {
        if !matches!(self.unfold(budget)?, Some(container) if container.is_object) {
            *self = Self::empty_object();
        }
        let Some(container) = self.unfold(budget)? else {
            return Ok(());
        };
        budget.work(patch.len())?;
        for member in Members::of(patch, 0..patch.len()).into_iter().flatten() {
            let member = member?;
            let (Some(key), value) = (member.key, &patch[member.value]) else {
                continue;
            };
            let key = decode(&patch[key]);
            let token = Token::key(&key);
            match value {
                "null" => {
                    if let Some(index) = container.position(&token, budget)? {
                        container.remove(index);
                    }
                }
                object if object.starts_with('{') => {
                    container.place(&token, budget)?.merge(object, budget)?
                }
                other => *container.place(&token, budget)? = Self::Text(Cow::Borrowed(other)),
            }
        }
        Ok(())
    }

    /// Recurses as deep as pointers and patches led, not as deep as the text is nested.
    fn write(&self, out: &mut String) {
        let container = match self {
            Self::Text(text) => return out.push_str(text),
            Self::Container(container) => container,
        };
        out.push(if container.is_object { '{' } else { '[' });
        for (index, member) in container.members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&member.before);
            out.push_str(&member.key);
            out.push_str(&member.colon);
            member.value.write(out);
            out.push_str(&member.after);
        }
        out.push(if container.is_object { '}' } else { ']' });
    }

    fn into_text(self) -> Cow<'t, str> {
        if let Self::Text(text) = self {
            return text;
        }
        let mut text = String::new();
        self.write(&mut text);
        Cow::Owned(text)
    }
}

impl<'t> Container<'t> {
    /// The container that starts there, and where it ends; `None` if a scalar does.
    fn read<'s>(
        text: &'s str,
        start: usize,
        keep: impl Fn(&'s str) -> Cow<'t, str>,
    ) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(mut list) = Members::of(text, start..text.len()) else {
            return Ok(None);
        };
        let mut members = Vec::with_capacity(MEMBERS_FEW);
        for member in list.by_ref() {
            let member = member?;
            let (key, colon_start) = match &member.key {
                Some(key) => (key.clone(), key.end),
                None => (member.value.start..member.value.start, member.value.start),
            };
            members.push(Member {
                before: keep(&text[member.start..key.start]),
                colon: keep(&text[colon_start..member.value.start]),
                after: keep(&text[member.value.end..member.end]),
                value: Node::Text(keep(&text[member.value])),
                key: keep(&text[key]),
            });
        }
        let container = Self {
            is_object: text[start..].starts_with('{'),
            members,
        };
        Ok(list.end().map(|end| (container, end)))
    }

    /// Where the member is that a step names. Earlier members of the same key go: an edit
    /// that names a key must not leave another value of it for a reader to find.
    fn position(&mut self, token: &Token<'_>, budget: &mut Budget) -> Result<Option<usize>, Error> {
        if !self.is_object {
            return Ok(token.index().filter(|index| *index < self.members.len()));
        }
        budget.work(self.members.len())?;
        let Some(last) = self.members.iter().rposition(|member| token.is_key(&member.key)) else {
            return Ok(None);
        };
        let mut position = last;
        for index in (0..last).rev() {
            if token.is_key(&self.members[index].key) {
                self.remove(index);
                position -= 1;
            }
        }
        Ok(Some(position))
    }

    /// The place of the member that a step names, made if there is none.
    fn place(&mut self, token: &Token<'_>, budget: &mut Budget) -> Result<&mut Node<'t>, Error> {
        let index = match self.position(token, budget)? {
            Some(index) => index,
            None => self.append(token, budget)?,
        };
        Ok(&mut self.members[index].value)
    }

    /// Adds a member that looks like the one before it.
    fn append(&mut self, token: &Token<'_>, budget: &mut Budget) -> Result<usize, Error> {
        let index = self.members.len();
        if !self.is_object && !token.is_append() && token.index() != Some(index) {
            return Err(Error::Index(token.as_str().to_owned()));
        }
        let mut member = match self.members.last_mut() {
            Some(last) => Member {
                before: last.before.clone(),
                key: Cow::Borrowed(""),
                colon: last.colon.clone(),
                value: Node::empty_object(),
                after: std::mem::take(&mut last.after),
            },
            None => Member::plain(),
        };
        if self.is_object {
            member.key = Cow::Owned(encode(token.as_str()));
            if member.colon.is_empty() {
                member.colon = Cow::Borrowed(":");
            }
        }
        budget.grow(member.before.len() + member.key.len() + member.colon.len() + 3)?;
        self.members.push(member);
        Ok(index)
    }

    /// Takes a member out; the space around the ends of the container stays.
    fn remove(&mut self, index: usize) -> Node<'t> {
        let removed = self.members.remove(index);
        if index == 0 {
            if let Some(first) = self.members.first_mut() {
                first.before = removed.before;
            }
        } else if index == self.members.len()
            && let Some(last) = self.members.last_mut()
        {
            last.after = removed.after;
        }
        removed.value
    }
}

impl Member<'_> {
    const fn plain() -> Self {
        Self {
            before: Cow::Borrowed(""),
            key: Cow::Borrowed(""),
            colon: Cow::Borrowed(""),
            value: Node::empty_object(),
            after: Cow::Borrowed(""),
        }
    }
}

fn encode(key: &str) -> String {
    // Nearly every key is written as it is.
    if !key.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        return ["\"", key, "\""].concat();
    }
    serde_json::Value::from(key).to_string()
}

/// The key that `written` means; what has no meaning, such as half a surrogate pair, stays.
fn decode(written: &str) -> Cow<'_, str> {
    let inner = &written[1..written.len() - 1];
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(written).map_or(Cow::Borrowed(inner), Cow::Owned)
}
