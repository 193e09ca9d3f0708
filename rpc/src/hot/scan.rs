//! Reads the little of JSON that submissions are made of.

/// A place in a text.
///
/// What it reads is valid JSON and means what it says: strings with escapes, numbers that are not natural and everything else are
/// not read at all.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Passes a character of punctuation, and the space before it.
    pub(super) fn token(&mut self, token: u8) -> Option<()> {
        self.skip_space();
        if self.text.as_bytes().get(self.at) != Some(&token) {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// A string that stands for itself.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.token(b'"')?;
        let rest = self.text.get(self.at..)?;
        let length = memchr::memchr(b'"', rest.as_bytes())?;
        let string = &rest[..length];
        // An escaped quotation mark is refused with its escape. Without branches: most of a request is in here.
        let is_plain = |fine: bool, byte: u8| fine & (byte >= 0x20) & (byte != b'\\');
        if !string.bytes().fold(true, is_plain) {
            return None;
        }
        self.at += length + 1;
        Some(string)
    }

    /// A string or a natural number, as it is written.
    pub(super) fn id(&mut self) -> Option<&'a str> {
        self.skip_space();
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        if rest.first() == Some(&b'"') {
            self.string()?;
        } else {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 || (digits > 1 && rest[0] == b'0') {
                return None;
            }
            self.at += digits;
        }
        Some(&self.text[start..self.at])
    }

    /// Whether nothing but space is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at +=
            rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }
}
