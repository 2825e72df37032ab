//! Reads types from a parsed TOML tree. Each deserializer makes its own copy of the code that
//! reads a type, and those of toml and config several: a table may be a list, a date or a value
//! with its position. Every file and all layers are read with this one, which makes one copy:
//! 0.7 MB of the daemon less.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use std::fmt;
use std::str::FromStr;
use toml::Value;

/// What a string may be read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    /// Only text: in files numbers have no quotes.
    Text,
    /// Also a number or a boolean where one is wanted: variables have no types.
    AnyScalar,
}

/// A value and all that is in it.
#[derive(Clone, Copy)]
pub(super) struct Tree<'v> {
    pub value: &'v Value,
    pub strings: Strings,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What doesn't fit, and where.
#[derive(Debug)]
pub(super) struct Misfit(Box<Place>);

#[derive(Debug)]
struct Place {
    message: String,
    /// From the inside out.
    steps: Vec<Step>,
    /// The last key itself is wrong, not its value.
    is_key: bool,
}

impl Misfit {
    fn inside(mut self, step: Step) -> Self {
        self.0.steps.push(step);
        self
    }

    fn at_key(mut self, key: &str) -> Self {
        self.0.is_key = true;
        self.inside(Step::Key(key.to_owned()))
    }

    /// From the root inwards.
    pub fn path(&self) -> impl Iterator<Item = &Step> {
        self.0.steps.iter().rev()
    }

    pub fn is_key(&self) -> bool {
        self.0.is_key
    }

    pub fn message(&self) -> &str {
        &self.0.message
    }
}

impl Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new(Place {
            message: message.to_string(),
            steps: Vec::new(),
            is_key: false,
        }))
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Misfit {}

impl<'v> Tree<'v> {
    /// The string as what is wanted, where it may be more than text.
    fn spelt<T: FromStr>(&self) -> Option<T> {
        match (self.strings, self.value) {
            (Strings::AnyScalar, Value::String(text)) => text.parse().ok(),
            _ => None,
        }
    }

    /// As config reads booleans.
    fn spelt_bool(&self) -> Option<bool> {
        match self.spelt::<String>()?.to_lowercase().as_str() {
            "1" | "true" | "on" | "yes" => Some(true),
            "0" | "false" | "off" | "no" => Some(false),
            _ => None,
        }
    }

    /// What no visitor of scalars takes, or none of tables, or none of lists.
    fn unexpected(&self) -> Unexpected<'v> {
        match self.value {
            Value::String(text) => Unexpected::Str(text),
            Value::Integer(number) => Unexpected::Signed(*number),
            Value::Float(number) => Unexpected::Float(*number),
            Value::Boolean(is) => Unexpected::Bool(*is),
            Value::Datetime(_) => Unexpected::Other("date without quotes"),
            Value::Array(_) => Unexpected::Seq,
            Value::Table(_) => Unexpected::Map,
        }
    }

    fn scalar<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(is) => visitor.visit_bool(*is),
            _ => Err(Misfit::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn integer<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.spelt() {
            Some(number) => visitor.visit_i64(number),
            None => self.scalar(visitor),
        }
    }

    fn float<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.spelt() {
            Some(number) => visitor.visit_f64(number),
            None => self.scalar(visitor),
        }
    }

    fn list<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Array(values) => visitor.visit_seq(Items {
                values: values.iter().enumerate(),
                strings: self.strings,
            }),
            _ => Err(Misfit::invalid_type(self.unexpected(), &visitor)),
        }
    }

    fn table<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Table(table) => visitor.visit_map(Entries {
                entries: table.iter(),
                open: None,
                strings: self.strings,
            }),
            _ => Err(Misfit::invalid_type(self.unexpected(), &visitor)),
        }
    }
}

macro_rules! read_as {
    ($($read:ident: $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.$read(visitor)
        })*)*
    };
}

impl<'v> Deserializer<'v> for Tree<'v> {
    type Error = Misfit;

    read_as! {
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        float: deserialize_f32 deserialize_f64;
        scalar: deserialize_char deserialize_str deserialize_string deserialize_identifier
            deserialize_bytes deserialize_byte_buf deserialize_unit;
        list: deserialize_seq;
        table: deserialize_map;
    }

    fn deserialize_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Array(_) => self.list(visitor),
            Value::Table(_) => self.table(visitor),
            _ => self.scalar(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.spelt_bool() {
            Some(is) => visitor.visit_bool(is),
            None => self.scalar(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.table(visitor)
    }

    fn deserialize_tuple<V: Visitor<'v>>(
        self,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.list(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'v>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.scalar(visitor)
    }

    /// No variant in a file holds more than its name.
    fn deserialize_enum<V: Visitor<'v>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self.value {
            Value::String(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            _ => Err(Misfit::invalid_type(self.unexpected(), &"a string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'v>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }
}

struct Items<'v> {
    values: std::iter::Enumerate<std::slice::Iter<'v, Value>>,
    strings: Strings,
}

impl<'v> SeqAccess<'v> for Items<'v> {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'v>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Misfit> {
        let Some((index, value)) = self.values.next() else {
            return Ok(None);
        };
        let strings = self.strings;
        match seed.deserialize(Tree { value, strings }) {
            Ok(element) => Ok(Some(element)),
            Err(misfit) => Err(misfit.inside(Step::Index(index))),
        }
    }
}

struct Entries<'v> {
    entries: toml::map::Iter<'v, String, Value>,
    /// The entry whose key has been read.
    open: Option<(&'v str, &'v Value)>,
    strings: Strings,
}

impl<'v> MapAccess<'v> for Entries<'v> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'v>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Misfit> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        self.open = Some((key, value));
        match seed.deserialize(BorrowedStrDeserializer::<Misfit>::new(key)) {
            Ok(read) => Ok(Some(read)),
            Err(misfit) => Err(misfit.at_key(key)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'v>>(&mut self, seed: T) -> Result<T::Value, Misfit> {
        let (key, value) = self.open.expect("serde asks for a key first");
        let strings = self.strings;
        seed.deserialize(Tree { value, strings })
            .map_err(|misfit| misfit.inside(Step::Key(key.to_owned())))
    }
}
