//! What was written is read, and nothing else is: flipped, cut, foreign.

use super::*;

const FILE: File = File { run: 7, segment: 3 };

fn an_entry() -> Entry {
    let address =
        Address { region: "eu-west-1".into(), endpoint: String::new(), group: "/g".into(), stream: "s".into() };
    Entry {
        address: Arc::new(address),
        sequence: 11,
        first_ms: -5,
        last_ms: 1_767_225_600_000,
        serial: true,
        gzip: false,
        raw_lengths: vec![10, 0, 5, 7],
        pieces: vec![Piece::cut(2, 99, false), Piece::cut(3, 99, true)],
        payload: Bytes::from_static(b"{\"logEvents\":[]}"),
    }
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    encode(entry, FILE, 640, 2).concat()
}

#[test]
fn what_was_written_is_read() {
    let bytes = Bytes::from(bytes_of(&an_entry()));
    assert_eq!(bytes.len() as u64, encoded_bytes(&an_entry()).unwrap());
    let head = head(&bytes, FILE, 640).unwrap();
    assert_eq!((head.index, head.count, head.total_bytes()), (2, Count::new(2, 22), bytes.len() as u64));
    assert_eq!(entry(&head, &bytes), Some(an_entry()));
    assert_eq!(head.sum(), an_entry().sum());
}

#[test]
fn a_head_is_believed_only_where_it_was_written() {
    let bytes = bytes_of(&an_entry());
    for (file, at) in [(File { run: 8, ..FILE }, 640), (File { segment: 4, ..FILE }, 640), (FILE, 641)] {
        assert_eq!(head(&bytes, file, at), Err(NoHead::Wrong));
    }
}

#[test]
fn no_flipped_bit_goes_unseen() {
    let good = bytes_of(&an_entry());
    for place in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[place / 8] ^= 1 << (place % 8);
        let read = head(&bytes, FILE, 640).ok().and_then(|head| entry(&head, &Bytes::from(bytes)));
        assert_eq!(read, None, "bit {place}");
    }
}

#[test]
fn a_cut_record_is_short_or_damaged() {
    let good = bytes_of(&an_entry());
    for end in 0..good.len() {
        let bytes = Bytes::copy_from_slice(&good[..end]);
        match head(&bytes, FILE, 640) {
            Ok(head) => assert_eq!(entry(&head, &bytes), None, "cut at {end}"),
            Err(no) => assert_eq!(no, NoHead::Short, "cut at {end}"),
        }
    }
}

#[test]
fn joined_lines_are_counted_and_no_event_has_more_of_them_than_bytes() {
    let joined = |lines| Piece { event: 2, part: Part::Joined { lines } };
    let with = |lines| Entry { pieces: vec![joined(lines), Piece::cut(3, 99, true)], ..an_entry() };
    let bytes = Bytes::from(bytes_of(&with(5)));
    let found = head(&bytes, FILE, 640).unwrap();
    // A line by itself, five together, and the end of one.
    assert_eq!((found.count.lines, entry(&found, &bytes)), (7, Some(with(5))));
    for lines in [0, 6] {
        let bytes = Bytes::from(bytes_of(&with(lines)));
        assert_eq!(entry(&head(&bytes, FILE, 640).unwrap(), &bytes), None, "{lines}");
    }
}

#[test]
fn pieces_are_of_events_that_are_there_each_of_its_own() {
    for (events, believed) in [([2, 3], true), ([2, 2], false), ([3, 2], false), ([3, 4], false)] {
        let pieces = events.map(|event| Piece::cut(event, 99, false)).to_vec();
        let bytes = Bytes::from(bytes_of(&Entry { pieces, ..an_entry() }));
        assert_eq!(entry(&head(&bytes, FILE, 640).unwrap(), &bytes).is_some(), believed, "{events:?}");
    }
    let pieces = [0, 1].map(|event| Piece::cut(event, 99, false)).to_vec();
    let only_pieces = Entry { raw_lengths: vec![1, 1], pieces, ..an_entry() };
    let bytes = Bytes::from(bytes_of(&only_pieces));
    assert_eq!(entry(&head(&bytes, FILE, 640).unwrap(), &bytes), Some(only_pieces));
}

#[test]
fn another_version_is_foreign() {
    let mut bytes = bytes_of(&an_entry());
    bytes[8] = 2;
    assert_eq!(head(&bytes, FILE, 640), Err(NoHead::Foreign(2)));
}

#[test]
fn an_index_that_no_place_has_is_not_believed() {
    // Six heads fit before.
    for (index, believed) in [(6, true), (7, false)] {
        let bytes = encode(&an_entry(), FILE, 640, index).concat();
        assert_eq!(head(&bytes, FILE, 640).is_ok(), believed, "index {index}");
    }
}

#[test]
fn the_longest_names_fit_and_the_head_with_them_is_the_longest() {
    let name = || "n".repeat(SPOOL_NAME_BYTES_MAX);
    let address = Address { region: name(), endpoint: name(), group: name(), stream: name() };
    let longest = Entry { address: Arc::new(address), ..an_entry() };
    let bytes = bytes_of(&longest);
    assert_eq!(encoded_bytes(&longest), Ok(bytes.len() as u64));
    assert_eq!(head(&bytes[..HEAD_BYTES_MAX - 1], FILE, 640), Err(NoHead::Short));
    assert_eq!(head(&bytes[..HEAD_BYTES_MAX], FILE, 640).unwrap().address, longest.address);
}

#[test]
fn the_shortest_record_is_a_head_without_names() {
    let shortest = Entry {
        address: Arc::default(),
        serial: false,
        gzip: true,
        raw_lengths: Vec::new(),
        pieces: Vec::new(),
        payload: Bytes::new(),
        ..an_entry()
    };
    let bytes = Bytes::from(bytes_of(&shortest));
    assert_eq!(bytes.len(), FIXED_BYTES);
    assert_eq!(entry(&head(&bytes, FILE, 640).unwrap(), &bytes), Some(shortest));
}

#[test]
fn what_a_head_would_not_be_believed_for_is_not_written() {
    let long_name = Address { endpoint: "n".repeat(SPOOL_NAME_BYTES_MAX + 1), ..Address::default() };
    let piece = Piece::cut(0, 0, true);
    let too_large = [
        Entry { address: Arc::new(long_name), ..an_entry() },
        Entry { raw_lengths: vec![1; BATCH_EVENTS_MAX + 1], ..an_entry() },
        Entry { raw_lengths: vec![1], pieces: vec![piece; 2], ..an_entry() },
        Entry { payload: Bytes::from(vec![b' '; SPOOL_PAYLOAD_BYTES_MAX + 1]), ..an_entry() },
    ];
    for entry in too_large {
        assert_eq!(encoded_bytes(&entry), Err(TooLarge));
    }
    let pieces = vec![piece; BATCH_EVENTS_MAX];
    let payload = Bytes::from(vec![b' '; SPOOL_PAYLOAD_BYTES_MAX]);
    let largest = Entry { raw_lengths: vec![1; BATCH_EVENTS_MAX], pieces, payload, ..an_entry() };
    assert_eq!(encoded_bytes(&largest), Ok(bytes_of(&largest).len() as u64));
}
