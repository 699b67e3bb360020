//! The answer to a PROPFIND: `DAV:multistatus`, whatever prefix the server gives the namespace.

use std::time::UNIX_EPOCH;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// Elements nested deeper than this are no answer to our question.
const DEPTH_MAX: usize = 64;

/// What is asked for.
pub(super) const PROPFIND: &str = concat!(
    r#"<?xml version="1.0" encoding="utf-8"?>"#,
    r#"<D:propfind xmlns:D="DAV:"><D:prop><D:resourcetype/><D:getcontentlength/>"#,
    r#"<D:getlastmodified/><D:getetag/></D:prop></D:propfind>"#
);

/// One `DAV:response`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    /// As the server wrote it, entities resolved.
    pub(super) href: String,
    /// Status of the resource as a whole, where it has one.
    pub(super) status: Option<u16>,
    pub(super) facts: Facts,
}

/// The properties of a resource.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) collection: bool,
    pub(super) size: Option<u64>,
    pub(super) modified_ms: Option<i64>,
    pub(super) etag: Option<String>,
}

impl Facts {
    fn take_over(&mut self, other: Self) {
        self.collection |= other.collection;
        self.size = other.size.or(self.size);
        self.modified_ms = other.modified_ms.or(self.modified_ms);
        self.etag = other.etag.or(self.etag.take());
    }
}

/// The elements that matter; any other one is [`Tag::Other`], and so is a known one out of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Multistatus,
    Response,
    Href,
    Status,
    Propstat,
    Prop,
    Size,
    Modified,
    Etag,
    ResourceType,
    Collection,
    Other,
}

impl Tag {
    fn new(parent: Option<Tag>, local: &str) -> Self {
        match (parent, local) {
            (None, "multistatus") => Self::Multistatus,
            (Some(Self::Multistatus), "response") => Self::Response,
            (Some(Self::Response), "href") => Self::Href,
            (Some(Self::Response | Self::Propstat), "status") => Self::Status,
            (Some(Self::Response), "propstat") => Self::Propstat,
            (Some(Self::Propstat), "prop") => Self::Prop,
            (Some(Self::Prop), "getcontentlength") => Self::Size,
            (Some(Self::Prop), "getlastmodified") => Self::Modified,
            (Some(Self::Prop), "getetag") => Self::Etag,
            (Some(Self::Prop), "resourcetype") => Self::ResourceType,
            (Some(Self::ResourceType), "collection") => Self::Collection,
            _ => Self::Other,
        }
    }

    fn has_text(self) -> bool {
        matches!(self, Self::Href | Self::Status | Self::Size | Self::Modified | Self::Etag)
    }
}

/// Reads an answer. It must be whole: an answer cut short, or anything else than a multistatus, is an
/// error, which says in a few words why.
pub(super) fn parse(body: &[u8]) -> Result<Vec<Resource>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is not UTF-8")?;
    let mut reader = NsReader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut state = Parser::default();
    loop {
        let (namespace, event) =
            reader.read_resolved_event().map_err(|_| "the answer is not well-formed XML")?;
        match event {
            Event::Start(element) => {
                let dav = namespace == ResolveResult::Bound(Namespace("DAV:"));
                state.open(if dav { element.local_name().into_inner() } else { "" })?;
            }
            Event::End(_) => state.close(),
            Event::Text(text) => state.text(&text.xml10_content()),
            Event::CData(text) => state.text(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(character)) => Some(character),
                    Ok(None) => resolve_xml_entity(&reference).and_then(|text| text.chars().next()),
                    Err(_) => None,
                };
                let mut buffer = [0; 4];
                state.text(resolved.ok_or("the answer has an unknown entity")?.encode_utf8(&mut buffer));
            }
            // Web pages have one, answers have none.
            Event::DocType(_) => return Err("the answer is a document of another type"),
            Event::Eof => return state.end(),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

#[derive(Default)]
struct Parser {
    stack: Vec<Tag>,
    seen_root: bool,
    resources: Vec<Resource>,
    resource: Resource,
    /// The properties of the current `propstat`; they count once its status is known.
    facts: Facts,
    facts_status: Option<u16>,
    text: String,
}

impl Parser {
    fn open(&mut self, local: &str) -> Result<(), &'static str> {
        let tag = Tag::new(self.stack.last().copied(), local);
        match tag {
            Tag::Response => self.resource = Resource::default(),
            Tag::Propstat => (self.facts, self.facts_status) = (Facts::default(), None),
            Tag::Collection => self.facts.collection = true,
            _ => {}
        }
        if self.stack.is_empty() && (tag != Tag::Multistatus || std::mem::replace(&mut self.seen_root, true))
        {
            return Err("the answer is no multistatus");
        }
        if self.stack.len() == DEPTH_MAX {
            return Err("the answer is nested too deeply");
        }
        self.stack.push(tag);
        self.text.clear();
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if self.stack.last().is_some_and(|tag| tag.has_text()) {
            self.text.push_str(text);
        }
    }

    fn close(&mut self) {
        let Some(tag) = self.stack.pop() else { return };
        let in_propstat = self.stack.last() == Some(&Tag::Propstat);
        let text = self.text.trim();
        match tag {
            // Of several names for one thing the first will do.
            Tag::Href if self.resource.href.is_empty() => text.clone_into(&mut self.resource.href),
            Tag::Status if in_propstat => self.facts_status = status(text),
            Tag::Status => self.resource.status = status(text),
            Tag::Size => self.facts.size = text.parse().ok(),
            Tag::Modified => self.facts.modified_ms = http_date_ms(text),
            Tag::Etag if !text.is_empty() => self.facts.etag = Some(text.to_owned()),
            Tag::Propstat => {
                let facts = std::mem::take(&mut self.facts);
                if self.facts_status.is_none_or(|status| (200..300).contains(&status)) {
                    self.resource.facts.take_over(facts);
                }
            }
            Tag::Response => {
                let resource = std::mem::take(&mut self.resource);
                if !resource.href.is_empty() {
                    self.resources.push(resource);
                }
            }
            _ => {}
        }
        self.text.clear();
    }

    fn end(self) -> Result<Vec<Resource>, &'static str> {
        if !self.seen_root || !self.stack.is_empty() {
            return Err("the answer is cut short");
        }
        Ok(self.resources)
    }
}

/// The number in `HTTP/1.1 200 OK`.
fn status(text: &str) -> Option<u16> {
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Milliseconds since the epoch of an HTTP date.
pub(super) fn http_date_ms(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(inside: &str) -> Resource {
        let text = format!(r#"<d:multistatus xmlns:d="DAV:">{inside}</d:multistatus>"#);
        let mut resources = parse(text.as_bytes()).unwrap();
        assert_eq!(resources.len(), 1, "{resources:?}");
        resources.remove(0)
    }

    #[test]
    fn reads_any_prefix_and_spelling() {
        let answers = [
            r#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:" xmlns:x="urn:x"><D:response>
               <D:href>/dav/a%20&amp;b</D:href><D:propstat><D:prop><D:getcontentlength>12</D:getcontentlength>
               <D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified>
               <D:getetag>&quot;x&#45;1"</D:getetag><D:resourcetype/><x:getcontentlength>99</x:getcontentlength>
               </D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"#,
            "\u{feff}<multistatus xmlns=\"DAV:\"><response><propstat><status>HTTP/2 200</status><prop>
             <getcontentlength> 12 </getcontentlength><getetag><![CDATA[\"x-1\"]]></getetag>
             <p:getlastmodified xmlns:p=\"DAV:\">Sunday, 06-Nov-94 08:49:37 GMT</p:getlastmodified></prop></propstat>
             <propstat><prop><getetag>no</getetag><resourcetype><collection/></resourcetype></prop>
             <status>HTTP/1.1 404 Not Found</status></propstat>
             <href><![CDATA[/dav/a%20&b]]></href></response></multistatus>",
        ];
        for answer in answers {
            let expected = Resource {
                href: "/dav/a%20&b".to_owned(),
                status: None,
                facts: Facts {
                    collection: false,
                    size: Some(12),
                    modified_ms: Some(784_111_777_000),
                    etag: Some("\"x-1\"".to_owned()),
                },
            };
            assert_eq!(parse(answer.as_bytes()).unwrap(), [expected]);
        }
    }

    #[test]
    fn tells_collections_and_states() {
        let folder =
            one("<d:response><d:href>/x/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/>\
             </d:resourcetype></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>");
        assert!(folder.facts.collection);
        let gone = one("<d:response><d:href>/x</d:href><d:status>HTTP/1.1 404 Gone</d:status></d:response>");
        assert_eq!(gone.status, Some(404));
        // A foreign element of the same name is not ours.
        let other = one(r#"<d:response><d:href>/x</d:href><d:propstat><d:prop><d:resourcetype>
             <c:collection xmlns:c="urn:c"/></d:resourcetype></d:prop></d:propstat></d:response>"#);
        assert!(!other.facts.collection);
    }

    #[test]
    fn refuses_everything_else() {
        let bad = [
            "",
            "not xml",
            "{}",
            "<html><body>Log in</body></html>",
            "<!doctype html><html></html>",
            "<multistatus/>",
            r#"<d:response xmlns:d="DAV:"/>"#,
            r#"<d:multistatus xmlns:d="DAV:">"#,
            r#"<d:multistatus xmlns:d="DAV:"><d:response><d:href>/x</d:href>"#,
            r#"<d:multistatus xmlns:d="DAV:"><d:response></d:multistatus>"#,
            r#"<d:multistatus xmlns:d="DAV:"/><d:multistatus xmlns:d="DAV:"/>"#,
            r#"<!DOCTYPE x [<!ENTITY e "x">]><d:multistatus xmlns:d="DAV:">&e;</d:multistatus>"#,
            r#"<d:multistatus xmlns:d="DAV:"><d:response><d:href>&e;</d:href></d:response></d:multistatus>"#,
        ];
        for text in bad {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"<d:multistatus xmlns:d=\"DAV:\">\xff</d:multistatus>").is_err());
        let deep = format!(r#"<d:multistatus xmlns:d="DAV:">{}"#, "<x>".repeat(100_000));
        assert_eq!(parse(deep.as_bytes()), Err("the answer is nested too deeply"));
    }

    #[test]
    fn ignores_what_it_cannot_read() {
        let odd = one("<d:response><d:href>/x</d:href><d:propstat><d:prop>\
             <d:getcontentlength>-1</d:getcontentlength><d:getlastmodified>yesterday</d:getlastmodified>\
             <d:getetag/></d:prop></d:propstat></d:response>");
        assert_eq!(odd.facts, Facts::default());
        let nameless = r#"<d:multistatus xmlns:d="DAV:"><d:response/></d:multistatus>"#;
        assert!(parse(nameless.as_bytes()).unwrap().is_empty());
    }
}
