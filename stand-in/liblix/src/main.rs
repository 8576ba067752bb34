//! What the stand-in's libraries are made with: it says what was built, for which system, and nothing of the compiler,
//! so that any Rust gives the same bytes.

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("liblix {}", words.join(" for "));
}
