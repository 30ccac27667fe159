//! A YAML file as a tree of texts with their lines, for configuration of others, of which little matters here. Types that
//! are read key by key would be a fiftieth of the program.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::config_file::{self, ConfigError};

/// Something, and the line that it stands in.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: u64,
}

/// What stands in a place.
#[derive(Debug)]
enum Content {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

type Node = Spanned<Content>;

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Content;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("anything")
            }

            fn visit_unit<E: Error>(self) -> Result<Content, E> {
                Ok(Content::Nothing)
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Content, E> {
                Ok(Content::Text(value.to_string()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Content, E> {
                Ok(Content::Text(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Content, E> {
                Ok(Content::Text(value.to_string()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
                Ok(Content::Text(value.to_string()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
                Ok(Content::Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Content::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Content::Map(entries))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// A file, read.
#[derive(Debug)]
pub(super) struct Tree {
    root: Node,
}

impl Tree {
    /// Reads a file; `needed` is the key that it can not do without, for one that is empty.
    pub(super) fn read(path: &Path, needed: &str) -> Result<Tree, ConfigError> {
        Ok(Tree { root: config_file::parse(path, &config_file::read(path)?, needed)? })
    }

    /// What stands at its top.
    pub(super) fn top<'a>(&'a self, path: &'a Path) -> Place<'a> {
        Place { path, node: &self.root }
    }
}

/// A place in a file. What is left empty is as good as not there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    path: &'a Path,
    node: &'a Node,
}

impl<'a> Place<'a> {
    pub(super) fn line(self) -> u64 {
        self.node.referenced.line()
    }

    fn wrong(self, message: impl Into<String>) -> ConfigError {
        let place = &self.node.referenced;
        let (line, column) = (place.line().max(1), place.column().max(1));
        ConfigError::Syntax { path: self.path.to_owned(), line, column, message: message.into() }
    }

    fn at(self, node: &'a Node) -> Option<Place<'a>> {
        (!matches!(node.value, Content::Nothing)).then_some(Place { path: self.path, node })
    }

    /// The entries of a map, by name.
    pub(super) fn entries(self) -> Result<impl Iterator<Item = (&'a str, Place<'a>)>, ConfigError> {
        let Content::Map(entries) = &self.node.value else {
            return Err(self.wrong("keys and values are expected here, as in {key: value}"));
        };
        Ok(entries.iter().filter_map(move |(name, node)| Some((name.as_str(), self.at(node)?))))
    }

    /// What stands under a key of a map.
    pub(super) fn key(self, key: &str) -> Result<Option<Place<'a>>, ConfigError> {
        Ok(self.entries()?.find_map(|(name, place)| (name == key).then_some(place)))
    }

    /// The same, of a key that has to be there.
    pub(super) fn needed(self, key: &str) -> Result<Place<'a>, ConfigError> {
        self.key(key)?.ok_or_else(|| self.wrong(format!("the key `{key}` is missing")))
    }

    /// The places of a list.
    pub(super) fn items(self) -> Result<impl Iterator<Item = Place<'a>>, ConfigError> {
        let Content::List(nodes) = &self.node.value else {
            return Err(self.wrong("a list is expected here, as in [one, two]"));
        };
        Ok(nodes.iter().filter_map(move |node| self.at(node)))
    }

    /// What each place of a list under a key is read as; nothing where there is none.
    pub(super) fn list<T>(
        self,
        key: &str,
        read: impl Fn(Place<'a>) -> Result<T, ConfigError>,
    ) -> Result<Vec<T>, ConfigError> {
        let Some(list) = self.key(key)? else { return Ok(Vec::new()) };
        list.items()?.map(read).collect()
    }

    /// What a key's value is read as, where there is one.
    pub(super) fn value<T>(
        self,
        key: &str,
        read: impl Fn(Place<'a>) -> Result<T, ConfigError>,
    ) -> Result<Option<T>, ConfigError> {
        self.key(key)?.map(read).transpose()
    }

    /// A text, and whatever YAML takes for a number or a truth value.
    pub(super) fn text(self) -> Result<At<String>, ConfigError> {
        self.parsed("a single text is expected here", |text| Some(text.to_owned()))
    }

    /// A truth value.
    pub(super) fn truth(self) -> Result<At<bool>, ConfigError> {
        self.parsed("`true` or `false` is expected here", |text| text.parse().ok())
    }

    /// A text that is read as something, or else `expected` is said.
    pub(super) fn parsed<T>(self, expected: &str, read: impl Fn(&str) -> Option<T>) -> Result<At<T>, ConfigError> {
        let value = match &self.node.value {
            Content::Text(text) => read(text),
            Content::Nothing | Content::List(_) | Content::Map(_) => None,
        };
        Ok(At { value: value.ok_or_else(|| self.wrong(expected))?, line: self.line() })
    }
}
