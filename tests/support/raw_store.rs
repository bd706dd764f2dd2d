//! What is really in a store, and whether a code is readable in it.

use provbroker::core::model::ids::Code;

/// Everything that a Redis holds.
pub async fn dump(line: &mut redis::aio::MultiplexedConnection) -> Vec<u8> {
    let mut all = Vec::new();
    for key in redis::cmd("KEYS").arg("*").query_async::<Vec<String>>(line).await.unwrap() {
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(line).await.unwrap();
        let read = |words: &[&str]| redis::cmd(words[0]).arg(&key).arg(&words[1..]).take();
        let content: Vec<Vec<u8>> = match kind.as_str() {
            "hash" => read(&["HGETALL"]).query_async::<Vec<(Vec<u8>, Vec<u8>)>>(line).await.unwrap(),
            _ => Vec::new(),
        }
        .into_iter()
        .map(|(field, value)| [field, b" = ".to_vec(), value].concat())
        .chain(match kind.as_str() {
            "zset" => read(&["ZRANGE", "0", "-1"]).query_async::<Vec<Vec<u8>>>(line).await.unwrap(),
            "set" => read(&["SMEMBERS"]).query_async(line).await.unwrap(),
            "list" => read(&["LRANGE", "0", "-1"]).query_async(line).await.unwrap(),
            "string" => vec![read(&["GET"]).query_async(line).await.unwrap()],
            _ => Vec::new(),
        })
        .collect();
        all.extend_from_slice(key.as_bytes());
        for part in content {
            all.extend_from_slice(b"\n  ");
            all.extend(part);
        }
        all.push(b'\n');
    }
    all
}

/// Whether a code is readable in something: its digits, or these in hex or base64.
pub fn shows(all: &[u8], code: Code) -> bool {
    let digits = code.expose();
    let hex = provbroker::core::model::hex::encode(digits);
    let base64 = base64::engine::Engine::encode(&base64::engine::general_purpose::STANDARD, digits);
    [digits, &hex, &hex.to_uppercase(), &base64]
        .iter()
        .any(|text| all.windows(text.len()).any(|at| at == text.as_bytes()))
}
