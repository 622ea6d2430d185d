//! What comes from a run or a file means itself on a page, in a picture or in a report, whatever it holds.

/// Text between tags or in a quoted attribute, of HTML or XML. What no document may hold is shown as a replacement.
pub(crate) fn markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\r' | '\t' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// JSON inside a script element: nothing in it can end the element or begin a comment.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let text = value.to_string();
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped += "\\u003c",
            '>' => escaped += "\\u003e",
            '&' => escaped += "\\u0026",
            '\u{2028}' => escaped += "\\u2028",
            '\u{2029}' => escaped += "\\u2029",
            c => escaped.push(c),
        }
    }
    escaped
}

/// Base64 of bytes that are given in hexadecimal, as a content security policy names a hash.
pub(crate) fn base64_of_hex(hex: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    let mut text = String::new();
    // Six hexadecimal digits are three bytes are four characters.
    for part in bits.chunks(6) {
        let value = (0..6).fold(0, |v, n| v << 4 | part.get(n).copied().unwrap_or(0));
        for n in 0..4 {
            let is_there = n <= part.len() * 4 / 6;
            let digit = DIGITS[(value >> (18 - 6 * n) & 63) as usize];
            text.push(if is_there || part.len() == 6 { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::markup;

    #[test]
    fn text_means_itself() {
        assert_eq!(markup("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
        assert_eq!(markup("\u{1}\u{7f}\u{ffff}\n\té"), "\u{fffd}\u{fffd}\u{fffd}\n\té");
    }
}
