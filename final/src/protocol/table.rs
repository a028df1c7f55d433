//! The hash tables of a site: keyed anew in each, for strangers choose what is looked up in them.

/// A hash table.
pub(crate) type Table<K, V> = std::collections::HashMap<K, V, ahash::RandomState>;
/// A hash table that knows which entry was used least recently.
pub(crate) type LinkedTable<K, V> = hashlink::LinkedHashMap<K, V, ahash::RandomState>;
