//! Request bodies as JSON, read strictly: a member given twice is refused, and a member of the wrong type is named.
//! Knows nothing of any operation.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::fail::Failure;

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Flag(bool),
    Long(i64),
    /// A number that is no 64-bit integer. Nothing that we serve takes one.
    Float,
    Text(String),
    List(Vec<Node>),
    Object(BTreeMap<String, Node>),
}

impl Node {
    pub fn parse(body: &[u8]) -> Result<Node, Failure> {
        serde_json::from_slice(body).map_err(|error| Failure::serialization(error.to_string()))
    }

    fn kind(&self) -> &'static str {
        match self {
            Node::Null => "NULL_VALUE",
            Node::Flag(true) => "TRUE_VALUE",
            Node::Flag(false) => "FALSE_VALUE",
            Node::Long(_) => "NUMBER_VALUE",
            Node::Float => "DECIMAL_VALUE",
            Node::Text(_) => "STRING_VALUE",
            Node::List(_) => "LIST_VALUE",
            Node::Object(_) => "OBJECT_VALUE",
        }
    }

    fn not_a(&self, wanted: &str, member: &str) -> Failure {
        let kind = self.kind();
        Failure::serialization(format!("{kind} can not be converted to {wanted} at '{member}'"))
    }

    pub fn into_members(self, member: &str) -> Result<Members, Failure> {
        match self {
            Node::Object(members) => Ok(Members(members)),
            other => Err(other.not_a("a Structure", member)),
        }
    }
}

/// The members of one object. As with AWS, a null member counts as absent, and one that nobody asks for is ignored.
#[derive(Debug)]
pub struct Members(BTreeMap<String, Node>);

impl Members {
    pub fn parse(body: &[u8]) -> Result<Members, Failure> {
        Node::parse(body)?.into_members("request")
    }

    fn get(&self, member: &str) -> Option<&Node> {
        self.0.get(member).filter(|node| **node != Node::Null)
    }

    pub fn text(&self, member: &str) -> Result<Option<&str>, Failure> {
        match self.get(member) {
            None => Ok(None),
            Some(Node::Text(text)) => Ok(Some(text)),
            Some(other) => Err(other.not_a("a String", member)),
        }
    }

    pub fn long(&self, member: &str) -> Result<Option<i64>, Failure> {
        match self.get(member) {
            None => Ok(None),
            Some(Node::Long(long)) => Ok(Some(*long)),
            Some(other) => Err(other.not_a("a Long", member)),
        }
    }

    /// False when absent: every flag of the API has that default.
    pub fn flag(&self, member: &str) -> Result<bool, Failure> {
        match self.get(member) {
            None => Ok(false),
            Some(Node::Flag(flag)) => Ok(*flag),
            Some(other) => Err(other.not_a("a Boolean", member)),
        }
    }

    pub fn take_list(&mut self, member: &str) -> Result<Option<Vec<Node>>, Failure> {
        match self.0.remove(member) {
            None | Some(Node::Null) => Ok(None),
            Some(Node::List(list)) => Ok(Some(list)),
            Some(other) => Err(other.not_a("a List", member)),
        }
    }

    /// A map from text to text, such as tags; empty when absent.
    pub fn text_map(&self, member: &str) -> Result<BTreeMap<String, String>, Failure> {
        let map = match self.get(member) {
            None => return Ok(BTreeMap::new()),
            Some(Node::Object(map)) => map,
            Some(other) => return Err(other.not_a("a Map", member)),
        };
        let entry = |(key, node): (&String, &Node)| match node {
            Node::Text(text) => Ok((key.clone(), text.clone())),
            other => Err(other.not_a("a String", member)),
        };
        map.iter().map(entry).collect()
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Node, E> {
        Ok(Node::Flag(flag))
    }

    fn visit_i64<E>(self, long: i64) -> Result<Node, E> {
        Ok(Node::Long(long))
    }

    fn visit_u64<E>(self, long: u64) -> Result<Node, E> {
        Ok(i64::try_from(long).map_or(Node::Float, Node::Long))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Float)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, node)) = entries.next_entry::<String, Node>()? {
            if members.contains_key(&key) {
                return Err(A::Error::custom(format_args!("member '{key}' given twice")));
            }
            members.insert(key, node);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_given_twice_is_refused_at_any_depth() {
        for body in [r#"{"a":1,"a":1}"#, r#"{"x":[{"b":1,"b":null}]}"#] {
            let failure = Node::parse(body.as_bytes()).unwrap_err();
            assert_eq!(failure.kind, "SerializationException");
            assert!(failure.message.contains("given twice"), "{}", failure.message);
        }
    }

    #[test]
    fn a_wrong_type_is_named_with_its_member() {
        let members = Members::parse(br#"{"limit":"5"}"#).unwrap();
        let failure = members.long("limit").unwrap_err();
        assert_eq!(failure.message, "STRING_VALUE can not be converted to a Long at 'limit'");
    }

    #[test]
    fn null_counts_as_absent_and_strangers_are_ignored() {
        let members = Members::parse(br#"{"limit":null,"new":{"x":[1.5]}}"#).unwrap();
        assert_eq!(members.long("limit"), Ok(None));
    }

    #[test]
    fn what_is_no_object_or_has_a_tail_is_refused() {
        for body in ["", "[]", "7", "{} {}", "{"] {
            assert!(Members::parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
