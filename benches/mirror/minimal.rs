//! A minimal client: what the writer has Redis do, said over a bare socket, with all that does not change said in advance.

use std::io::Write as _;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// The least that does the same: look at the epoch, the latest of each pair, the stream, how far it has come.
const SCRIPT: &str = "\
if tonumber(redis.call('GET', KEYS[1]) or '0') > tonumber(ARGV[1]) then return 'deposed' end
redis.call('HSET', KEYS[3], unpack(ARGV, 4))
redis.call('XADD', KEYS[4], ARGV[1] .. '-' .. ARGV[2], 'sequence', ARGV[3], unpack(ARGV, 4))
redis.call('HSET', KEYS[2], 'entry', ARGV[2], 'sequence', ARGV[3])
return 'done'
";

/// A connection.
#[derive(Debug)]
pub(crate) struct Minimal {
    stream: TcpStream,
    hash: String,
    pub(crate) entry: u64,
    buffer: Vec<u8>,
}

impl Minimal {
    pub(crate) async fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut minimal = Self { stream, hash: String::new(), entry: 0, buffer: Vec::new() };
        minimal.ask(&command(&[b"DEL", b"{m}:head", b"{m}:latest", b"{m}:updates"])).await?;
        minimal.ask(&command(&[b"SET", b"{m}:epoch", b"1"])).await?;
        let answer = minimal.ask(&command(&[b"SCRIPT", b"LOAD", SCRIPT.as_bytes()])).await?;
        answer.lines().nth(1).unwrap_or_default().clone_into(&mut minimal.hash);
        Ok(minimal)
    }

    /// Encodes what does not change between writes: the pairs and their records.
    pub(crate) fn encode(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for (pair, record) in fields {
            word(&mut encoded, pair.as_bytes());
            word(&mut encoded, record);
        }
        encoded
    }

    /// Writes once.
    pub(crate) async fn append(&mut self, count: usize, encoded: &[u8]) -> anyhow::Result<()> {
        self.entry += 1;
        let mut request = std::mem::take(&mut self.buffer);
        request.clear();
        write!(request, "*{}\r\n", 3 + 4 + 3 + 2 * count)?;
        let entry = self.entry.to_string();
        let head = ["EVALSHA", &self.hash, "4", "{m}:epoch", "{m}:head", "{m}:latest", "{m}:updates", "1"];
        for text in head.into_iter().chain([entry.as_str(), entry.as_str()]) {
            word(&mut request, text.as_bytes());
        }
        request.extend_from_slice(encoded);
        let answer = self.ask(&request).await?;
        self.buffer = request;
        anyhow::ensure!(answer == "$4\r\ndone\r\n", "Redis says {answer}");
        Ok(())
    }

    /// Cuts the stream, as the writer does now and then.
    pub(crate) async fn trim(&mut self) -> anyhow::Result<()> {
        let oldest = format!("1-{}", self.entry.saturating_sub(500));
        self.ask(&command(&[b"XTRIM", b"{m}:updates", b"MINID", oldest.as_bytes()])).await?;
        Ok(())
    }

    /// Asks for nothing.
    pub(crate) async fn ping(&mut self) -> anyhow::Result<()> {
        self.ask(b"*1\r\n$4\r\nPING\r\n").await.map(|_| ())
    }

    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<String> {
        self.stream.write_all(request).await?;
        let mut answer = [0; 256];
        let length = self.stream.read(&mut answer).await?;
        Ok(String::from_utf8(answer[..length].to_vec())?)
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut encoded = format!("*{}\r\n", words.len()).into_bytes();
    for text in words {
        word(&mut encoded, text);
    }
    encoded
}

fn word(encoded: &mut Vec<u8>, text: &[u8]) {
    encoded.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    encoded.extend_from_slice(text);
    encoded.extend_from_slice(b"\r\n");
}
