//! What `--help` says of faults. A test parses its examples.

/// At most 98 columns: clap breaks longer lines where the terminal's width is not known.
pub const HELP: &str = "\
Fault scripts:
  A script is faults, separated by `;` or newlines; a line that begins with # is a comment.
  A fault is a name, then `:` and options, separated by commas. A value that holds `;`, `,` or
  `=`, or has spaces at its ends, goes in double quotes.

  Refused, nothing is stored:
    throttle              ThrottlingException
    quota:N               the same, for calls beyond N a second; burst=M: so many at once (N)
    500, 503              InternalFailure, ServiceUnavailableException
    502, 502:html         a proxy's answer: without a body, or a page
    200, 200:html         the same with a status that says that all went well
    413:SIZE              RequestEntityTooLargeException for bodies that arrive larger than SIZE
    invalid:TEXT          InvalidParameterException if an event's message holds TEXT
    missing               ResourceNotFoundException of the stream; missing:group, of the group
    expired, denied       ExpiredTokenException, AccessDeniedException
    unrecognized, skewed  UnrecognizedClientException, RequestTimeTooSkewed
  The connection:
    reset                 part of the request is read, then the connection is reset
    hang                  the request is read and never answered
    slow:SIZE             the request is read at SIZE a second (the kernel's buffers fill at once)
    tls-hang              with --tls: a connection is accepted, its handshake never answered
  The answer, after the events were stored:
    lost                  the connection is closed without an answer
    bad-json, no-body     200 and half of the JSON; 200 and nothing
    NAME:stored           500, 502, 503, hang and reset (then in the answer's body) as well
  All else goes well:
    latency:TIME          the answer is held back so long
    reject:old=N          the first N events are too old (rejectedLogEventsInfo);
                          expired=N: expired; new=N: the last N are too new

  Options of every fault; a call (of tls-hang: a connection) must fit all of them:
    op=OPERATION          PutLogEvents unless told; any (not of tls-hang)
    stream=NAME           this log stream alone (not of slow and tls-hang; of reset if stored)
    rate=R                each call with this probability, 0 to 1; the same calls in every run;
                          seed=N for others
    every=N               the Nth call, the 2Nth and so on
    calls=N               at most so many, the first ones
    from=TIME, for=TIME   not before, and so long; counted from the start, or from the POST

  The first fault that hits decides; latency, slow and reject go together with others. Examples:
    throttle:rate=0.5     hang:calls=3      500:from=2s,for=5s; lost:every=10
    quota:5000            latency:25ms      invalid:BAD
    missing:op=CreateLogStream,calls=2      denied:op=any,stream=app-1

  While it runs: POST /fault with a script replaces all faults, with an empty body ends them (what
  hangs already goes on hanging). GET /fault tells which there are and how often each hit;
  GET /stats counts all hits by name (`faults`).
";
