//! Reads GGUF's encoding and trusts none of it: every length is checked against the file
//! before anything is read, kept or skipped.

use super::Fault;
use super::read::MOST_BLOCKS;
use std::io::{BufReader, Read, Seek};

// No model known to us has a tenth of any of these.
const MOST_METADATA: u64 = 4_096;
const MOST_TENSORS: u64 = 65_536;
const MOST_NAME_BYTES: u64 = 256;
/// Of a value that is kept; longer ones are skipped.
const MOST_KEPT_BYTES: u64 = 4_096;
const MOST_ARRAY: u64 = 1 << 24;
const MOST_DIMENSIONS: u32 = 4;

/// Why reading ended early.
pub enum Stop {
    Io(std::io::Error),
    Fault(Fault),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Stop::Fault(Fault::Truncated),
            _ => Stop::Io(error),
        }
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

/// A metadata value, as far as anyone asks for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Unsigned(u64),
    Text(String),
    Unsigneds(Vec<u64>),
    Other,
}

/// An entry of the tensor table, unchecked.
pub struct RawTensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub type_id: u32,
    pub offset: u64,
}

/// A place in the header.
pub struct Cursor<R> {
    source: BufReader<R>,
    at: u64,
    file_bytes: u64,
}

impl<R: Read + Seek> Cursor<R> {
    pub fn new(source: R, file_bytes: u64) -> Self {
        Self {
            source: BufReader::with_capacity(64 * 1024, source),
            at: 0,
            file_bytes,
        }
    }

    /// Bytes read so far.
    pub fn at(&self) -> u64 {
        self.at
    }

    pub fn key(&mut self) -> Result<String, Stop> {
        self.string(MOST_NAME_BYTES, "bytes in a metadata key")
    }

    /// The numbers of metadata entries and of tensors.
    pub fn preamble(&mut self) -> Result<(u64, u64), Stop> {
        if self.file_bytes < 4 || self.bytes()? != *b"GGUF" {
            return Err(Fault::NotGguf.into());
        }
        match self.u32()? {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 1..=3) => {
                return Err(Fault::BigEndian.into());
            }
            version => return Err(Fault::Version(version).into()),
        }
        let tensors = capped("tensors", self.u64()?, MOST_TENSORS)?;
        let metadata = capped("metadata entries", self.u64()?, MOST_METADATA)?;
        Ok((metadata, tensors))
    }

    pub fn tensor(&mut self) -> Result<RawTensor, Stop> {
        let name = self.string(MOST_NAME_BYTES, "bytes in a tensor name")?;
        let dimensions = self.u32()?;
        if dimensions == 0 || dimensions > MOST_DIMENSIONS {
            let text = format!("tensor {name} has {dimensions} dimensions");
            return Err(Fault::Damaged(text).into());
        }
        let mut dims = Vec::with_capacity(dimensions as usize);
        for _ in 0..dimensions {
            dims.push(self.u64()?);
        }
        Ok(RawTensor {
            name,
            dims,
            type_id: self.u32()?,
            offset: self.u64()?,
        })
    }

    pub fn value(&mut self) -> Result<Value, Stop> {
        match self.u32()? {
            8 => self.text(),
            9 => self.array(),
            scalar => self.scalar(scalar),
        }
    }

    fn text(&mut self) -> Result<Value, Stop> {
        let length = self.u64()?;
        if length > MOST_KEPT_BYTES {
            self.skip(length)?;
            return Ok(Value::Other);
        }
        Ok(Value::Text(self.text_of(length)?))
    }

    fn array(&mut self) -> Result<Value, Stop> {
        let element = self.u32()?;
        let count = capped("array elements", self.u64()?, MOST_ARRAY)?;
        if element == 8 {
            for _ in 0..count {
                let length = self.u64()?;
                self.skip(length)?;
            }
            return Ok(Value::Other);
        }
        let width = scalar_width(element)
            .ok_or_else(|| Fault::Damaged(format!("an array of values of type {element}")))?;
        if count > MOST_BLOCKS {
            self.skip(count * width)?;
            return Ok(Value::Other);
        }
        let mut numbers = Vec::new();
        for _ in 0..count {
            if let Value::Unsigned(number) = self.scalar(element)? {
                numbers.push(number);
            }
        }
        Ok(if numbers.len() as u64 == count {
            Value::Unsigneds(numbers)
        } else {
            Value::Other
        })
    }

    /// Negative integers, floats and booleans are nothing that anyone asks for.
    fn scalar(&mut self, kind: u32) -> Result<Value, Stop> {
        let unsigned = |number: i64| u64::try_from(number).map_or(Value::Other, Value::Unsigned);
        Ok(match kind {
            0 => Value::Unsigned(u64::from(u8::from_le_bytes(self.bytes()?))),
            1 => unsigned(i64::from(i8::from_le_bytes(self.bytes()?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.bytes()?))),
            3 => unsigned(i64::from(i16::from_le_bytes(self.bytes()?))),
            4 => Value::Unsigned(u64::from(self.u32()?)),
            5 => unsigned(i64::from(i32::from_le_bytes(self.bytes()?))),
            10 => Value::Unsigned(self.u64()?),
            11 => unsigned(i64::from_le_bytes(self.bytes()?)),
            6 | 7 | 12 => {
                self.skip(scalar_width(kind).expect("6, 7 and 12 are scalars"))?;
                Value::Other
            }
            _ => return Err(Fault::Damaged(format!("a value of type {kind}")).into()),
        })
    }

    fn string(&mut self, most: u64, what: &'static str) -> Result<String, Stop> {
        let length = capped(what, self.u64()?, most)?;
        self.text_of(length)
    }

    /// `length` is small: the callers have checked it.
    fn text_of(&mut self, length: u64) -> Result<String, Stop> {
        self.within(length)?;
        let mut text = vec![0; length as usize];
        self.source.read_exact(&mut text)?;
        self.at += length;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.within(N as u64)?;
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<(), Stop> {
        self.within(length)?;
        let step = i64::try_from(length).map_err(|_| Fault::Truncated)?;
        self.source.seek_relative(step)?;
        self.at += length;
        Ok(())
    }

    fn within(&self, length: u64) -> Result<(), Fault> {
        match self.at.checked_add(length) {
            Some(end) if end <= self.file_bytes => Ok(()),
            _ => Err(Fault::Truncated),
        }
    }
}

pub fn capped(what: &'static str, claimed: u64, most: u64) -> Result<u64, Fault> {
    if claimed > most {
        return Err(Fault::Excessive {
            what,
            claimed,
            most,
        });
    }
    Ok(claimed)
}

fn scalar_width(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}
