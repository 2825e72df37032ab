//! How programs spell a text when they print it: as it is, or in quotes with escapes, of which
//! each language has its own (`\n`, `\u4e2d` with surrogates beyond U+FFFF, `\u{4e2d}`,
//! `\U0001f600`, `\344`), and some twice over. Read is what a spelling stands for, so that two of
//! one text come out alike.

/// What `\xe4` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing is an escape.
    AsItIs,
    /// One byte of UTF-8, as Python's `repr` of bytes means it, and C.
    Bytes,
    /// The character of that number, as Python's `ascii` means it, and JavaScript.
    Characters,
}

pub const READINGS: [Reading; 3] = [Reading::AsItIs, Reading::Bytes, Reading::Characters];

/// A byte of what a spelling stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelt {
    pub byte: u8,
    /// Where its character or escape stands in the spelling.
    pub start: usize,
    pub end: usize,
    /// Whether it is part of a letter or a digit.
    pub is_word: bool,
}

enum Code {
    Character(char),
    Byte(u8),
}

/// What `text` stands for. Any number of backslashes is one: then it doesn't matter how many
/// times a text was put into quotes.
pub fn read(text: &str, reading: Reading) -> Vec<Spelt> {
    let mut all = Vec::with_capacity(text.len());
    let mut start = 0;
    while start < text.len() {
        let rest = &text[start..];
        let behind = match reading {
            Reading::AsItIs => rest,
            Reading::Bytes | Reading::Characters => rest.trim_start_matches('\\'),
        };
        let slashes = rest.len() - behind.len();
        let escaped = match slashes {
            0 => None,
            _ => escape(behind, reading),
        };
        let itself = |c: char| (Code::Character(c), c.len_utf8());
        let Some((code, length)) = escaped.or_else(|| behind.chars().next().map(itself)) else {
            break;
        };
        let end = start + slashes + length;
        let mut push = |byte, is_word| {
            all.push(Spelt {
                byte,
                start,
                end,
                is_word,
            });
        };
        match code {
            Code::Byte(byte) => push(byte, byte.is_ascii_alphanumeric()),
            Code::Character(c) => {
                let mut buffer = [0; 4];
                for byte in c.encode_utf8(&mut buffer).bytes() {
                    push(byte, c.is_alphanumeric());
                }
            }
        }
        start = end;
    }
    all
}

/// What the escape behind a backslash stands for, and its length.
fn escape(text: &str, reading: Reading) -> Option<(Code, usize)> {
    let kind = *text.as_bytes().first()?;
    let simple = |c| Some((Code::Character(c), 1));
    match kind {
        b'n' => simple('\n'),
        b'r' => simple('\r'),
        b't' => simple('\t'),
        b'b' => simple('\x08'),
        b'f' => simple('\x0c'),
        b'v' => simple('\x0b'),
        b'a' => simple('\x07'),
        b'0'..=b'7' => {
            let octal = |byte: &u8| (b'0'..=b'7').contains(byte);
            let digits = text.bytes().take(3).take_while(octal).count();
            let byte = u8::from_str_radix(&text[..digits], 8).ok()?;
            Some((Code::Byte(byte), digits))
        }
        b'x' => {
            let number = u8::try_from(hex(text, 1, 2)?).ok()?;
            let code = match reading {
                Reading::Characters => Code::Character(char::from(number)),
                Reading::AsItIs | Reading::Bytes => Code::Byte(number),
            };
            Some((code, 3))
        }
        b'u' if text.as_bytes().get(1) == Some(&b'{') => {
            let digits = text[2..].find('}')?;
            let number = hex(text, 2, digits)?;
            Some((Code::Character(char::from_u32(number)?), digits + 3))
        }
        b'u' => utf16(text),
        b'U' => Some((Code::Character(char::from_u32(hex(text, 1, 8)?)?), 9)),
        _ => None,
    }
}

/// `uXXXX`, or two of them that are one character.
fn utf16(text: &str) -> Option<(Code, usize)> {
    let first = hex(text, 1, 4)?;
    if let Some(c) = char::from_u32(first) {
        return Some((Code::Character(c), 5));
    }
    let behind = text[5..].trim_start_matches('\\');
    let length = text.len() - behind.len();
    let second = (length > 5 && behind.starts_with('u')).then(|| hex(behind, 1, 4))??;
    let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some((Code::Character(c), length + 5))
}

/// The number of `digits` hexadecimal digits from byte `from` on.
fn hex(text: &str, from: usize, digits: usize) -> Option<u32> {
    let digits = text.get(from..from + digits)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str, reading: Reading) -> Vec<u8> {
        read(text, reading).iter().map(|spelt| spelt.byte).collect()
    }

    #[test]
    fn spellings_of_one_text_read_alike() {
        for spelling in [
            "中\n😀é",
            r"中\n😀é",
            r"\u4e2d\n\ud83d\ude00\u00e9",
            r"\u4E2D\u000a\uD83D\uDE00\u00E9",
            r"\\u4e2d\\n\\ud83d\\ude00\\u00e9",
            r"\u{4e2d}\x0a\u{1f600}\u{e9}",
            r"\u4e2d\12\U0001f600\u00e9",
        ] {
            for reading in [Reading::Bytes, Reading::Characters] {
                assert_eq!(bytes(spelling, reading), "中\n😀é".as_bytes(), "{spelling}");
            }
        }
        assert_eq!(bytes(r"\xc3\xa9", Reading::Bytes), "é".as_bytes());
        assert_eq!(bytes(r"\303\251", Reading::Bytes), "é".as_bytes());
        assert_eq!(bytes(r"\xe9", Reading::Characters), "é".as_bytes());
        assert_eq!(bytes(r"\xe9", Reading::AsItIs), br"\xe9");
        // What is no escape is itself.
        assert_eq!(bytes(r"\q\u12\ud83d\", Reading::Bytes), b"qu12ud83d");
    }

    proptest! {
        #[test]
        fn each_byte_knows_where_it_comes_from(text in ".{0,40}|[\\\\xuU0-9a-f{}é]{0,40}") {
            for reading in READINGS {
                let mut last = (0, 0);
                for spelt in read(&text, reading) {
                    prop_assert!(text.get(spelt.start..spelt.end).is_some());
                    let place = (spelt.start, spelt.end);
                    prop_assert!(place == last || spelt.start == last.1);
                    last = place;
                }
            }
        }
    }
}
