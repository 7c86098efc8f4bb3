//! Server-sent events, read as the HTML standard says (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::time::Duration;

/// More than any event has; a stream that sends more without an end of line is none of ours.
const LINE_MAX: usize = 16 * 1024 * 1024;

/// Something that was sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// An event.
    Event {
        /// Its id, where the frame itself has one.
        id: Option<String>,
        /// Its type; `message` where none is said.
        kind: String,
        /// Its data, lines joined.
        data: String,
    },
    /// A comment, without its colon.
    Comment(String),
    /// How long to wait before connecting again.
    Retry(Duration),
}

/// A line that is too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Reads a stream piece by piece, wherever it is cut.
#[derive(Default)]
pub(super) struct Reader {
    rest: Vec<u8>,
    id: Option<String>,
    kind: Option<String>,
    data: Vec<String>,
}

impl Reader {
    /// Takes the next piece; gives what is complete by now.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<Vec<Frame>, TooLong> {
        self.rest.extend_from_slice(piece);
        let mut frames = Vec::new();
        let mut from = 0;
        while let Some(end) = self.rest[from..].iter().position(|byte| *byte == b'\n') {
            let line = &self.rest[from..from + end];
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
            from += end + 1;
            frames.extend(self.line(&line));
        }
        self.rest.drain(..from);
        let held = self.rest.len() + self.data.iter().map(String::len).sum::<usize>();
        if held > LINE_MAX { Err(TooLong) } else { Ok(frames) }
    }

    fn line(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            return self.event();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => return Some(Frame::Comment(value.to_owned())),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "event" => self.kind = Some(value.to_owned()),
            "data" => self.data.push(value.to_owned()),
            "retry" => return value.parse().ok().map(|millis| Frame::Retry(Duration::from_millis(millis))),
            _ => {}
        }
        None
    }

    fn event(&mut self) -> Option<Frame> {
        let (id, kind, data) = (self.id.take(), self.kind.take(), std::mem::take(&mut self.data));
        // A frame without data is no event.
        (!data.is_empty()).then(|| Frame::Event { id, kind: kind.unwrap_or("message".into()), data: data.join("\n") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": at 2026-11-21T02:00:00Z\n\nretry: 2000\r\nid: evt_1\r\nevent: task.completed\r\ndata: {\"a\":\"é\"}\r\n\r\n\
                        event: replay\ndata:one\ndata:  two\nother: x\n\nid: evt_2\n\ndata: last\n\ndata: unfinished\n";

    fn expected() -> Vec<Frame> {
        let event = |id: Option<&str>, kind: &str, data: &str| Frame::Event {
            id: id.map(str::to_owned),
            kind: kind.into(),
            data: data.into(),
        };
        vec![
            Frame::Comment("at 2026-11-21T02:00:00Z".into()),
            Frame::Retry(Duration::from_secs(2)),
            event(Some("evt_1"), "task.completed", "{\"a\":\"é\"}"),
            event(None, "replay", "one\n two"),
            event(None, "message", "last"),
        ]
    }

    #[test]
    fn a_stream_is_read_the_same_wherever_it_is_cut() {
        let bytes = TEXT.as_bytes();
        assert_eq!(Reader::default().read(bytes).unwrap(), expected());
        for at in 0..bytes.len() {
            let mut reader = Reader::default();
            let mut frames = reader.read(&bytes[..at]).unwrap();
            frames.extend(reader.read(&bytes[at..]).unwrap());
            assert_eq!(frames, expected(), "cut at {at}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut reader = Reader::default();
        let piece = vec![b'x'; LINE_MAX / 2 + 1];
        assert!(reader.read(&piece).is_ok());
        assert_eq!(reader.read(&piece), Err(TooLong));
    }
}
