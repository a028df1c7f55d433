//! Values that are nested too deep are not read: each level takes some of the stack of the thread that reads,
//! and whoever sends the bytes says how many there are.
//!
//! Invariant: whatever is read within a value is read through [`Nested`], one level deeper.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

/// So deep values are nested at most: a structure in an option is two levels. Where nothing is optimised a
/// level takes about a kilobyte, and a thread has two megabytes by default.
pub(super) const DEPTH_MAX: u32 = 256;

/// A value that is not nested too deep.
pub(super) struct Shallow<T>(pub(super) T);

/// Something that reads, at so many levels above the deepest.
struct Nested<R> {
    reads: R,
    left: u32,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shallow<T> {
    fn deserialize<D: Deserializer<'de>>(reads: D) -> Result<Self, D::Error> {
        T::deserialize(Nested { reads, left: DEPTH_MAX }).map(Shallow)
    }
}

impl<R> Nested<R> {
    /// The same, and a visitor of what is one level deeper.
    fn deeper<V, E: Error>(self, visitor: V) -> Result<(R, Nested<V>), E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))?;
        Ok((self.reads, Nested { reads: visitor, left }))
    }

    /// Something else at the same level.
    fn beside<S>(&self, reads: S) -> Nested<S> {
        Nested { reads, left: self.left }
    }
}

/// What has nothing within.
macro_rules! leaves {
    ($($name:ident)+) => { $(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.reads.$name(visitor)
        }
    )+ };
}

/// What may.
macro_rules! branches {
    ($($name:ident($($more:ident: $type:ty),*))+) => { $(
        fn $name<V: Visitor<'de>>(
            self,
            $($more: $type,)*
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            let (reads, visitor) = self.deeper(visitor)?;
            reads.$name($($more,)* visitor)
        }
    )+ };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Nested<D> {
    type Error = D::Error;

    leaves! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier
    }
    branches! {
        deserialize_any() deserialize_ignored_any() deserialize_option() deserialize_seq()
        deserialize_map()
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.reads.deserialize_unit_struct(name, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.reads.is_human_readable()
    }
}

/// The codec tells of nothing else: it does not say by itself of what type a value is.
impl<'de, V: Visitor<'de>> Visitor<'de> for Nested<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.reads.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.reads.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, reads: D) -> Result<V::Value, D::Error> {
        let reads = self.beside(reads);
        self.reads.visit_some(reads)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, reads: D) -> Result<V::Value, D::Error> {
        let reads = self.beside(reads);
        self.reads.visit_newtype_struct(reads)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, reads: A) -> Result<V::Value, A::Error> {
        let reads = self.beside(reads);
        self.reads.visit_seq(reads)
    }

    fn visit_map<A: MapAccess<'de>>(self, reads: A) -> Result<V::Value, A::Error> {
        let reads = self.beside(reads);
        self.reads.visit_map(reads)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, reads: A) -> Result<V::Value, A::Error> {
        let reads = self.beside(reads);
        self.reads.visit_enum(reads)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Nested<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.beside(seed);
        self.reads.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.reads.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Nested<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.beside(seed);
        self.reads.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.beside(seed);
        self.reads.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.reads.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Nested<A> {
    type Error = A::Error;
    type Variant = Nested<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Nested<A::Variant>), A::Error> {
        let Nested { reads, left } = self;
        let (value, variant) = reads.variant_seed(Nested { reads: seed, left })?;
        Ok((value, Nested { reads: variant, left }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Nested<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.reads.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.beside(seed);
        self.reads.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.beside(visitor);
        self.reads.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.beside(visitor);
        self.reads.struct_variant(fields, visitor)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nested<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, reads: D) -> Result<S::Value, D::Error> {
        let reads = self.beside(reads);
        self.reads.deserialize(reads)
    }
}
