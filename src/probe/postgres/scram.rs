//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the client's side (RFC 5802, RFC 7677): messages in, messages out.
//!
//! It is our own because postgres-protocol refuses more than 100,000 iterations, where servers in use ask for
//! 600,000, and brings 128 KB of tables for passwords that next to nobody has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};

use super::saslprep;

/// The mechanism without channel binding.
pub const SCRAM_SHA_256: &str = "SCRAM-SHA-256";
/// The mechanism with channel binding.
pub const SCRAM_SHA_256_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// More iterations would take many seconds of processor time for each login.
pub const MAX_ITERATIONS: u32 = 10_000_000;
/// After how many iterations the clock is looked at: some milliseconds at most.
const ITERATIONS_AT_A_TIME: u32 = 4096;
/// The bytes of a nonce before base64, as many as libpq's.
const NONCE_BYTES: usize = 18;

/// What binds the exchange to the TLS connection beneath it (RFC 5802, section 6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// There is nothing to bind it to, or it shall not be bound.
    Unsupported,
    /// We could, and the server did not offer it: it finds out if somebody on the way took the offer away.
    NotOffered,
    /// The hash of the server's certificate (`tls-server-end-point`, RFC 5929).
    EndPoint(Vec<u8>),
}

impl Binding {
    fn header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Self::Unsupported | Self::NotOffered => &[],
            Self::EndPoint(hash) => hash,
        }
    }
}

/// Why the exchange ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScramError {
    /// The message is not SCRAM's; what is wrong with it.
    Malformed(&'static str),
    /// The server asks for this many iterations.
    Iterations(u64),
    /// The time ran out while the password was being hashed.
    OutOfTime,
    /// The server's own error (`e=`).
    Server(String),
    /// The server does not know the password, or its answer was changed on the way.
    WrongSignature,
}

/// A client that has yet to see the server's first message.
#[derive(Debug)]
pub struct Client {
    user: String,
    password: Vec<u8>,
    binding: Binding,
    nonce: String,
}

/// What the server's last message is checked against.
#[derive(Debug)]
pub struct ServerSignature([u8; 32]);

/// A nonce that nobody can foresee.
///
/// # Errors
///
/// The system has no random numbers.
pub fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; NONCE_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(STANDARD.encode(bytes))
}

impl Client {
    /// A client that logs in with `password`; the server takes the user from the start-up message.
    pub fn new(password: &[u8], binding: Binding, nonce: String) -> Self {
        Self { user: String::new(), password: saslprep::prepared(password), binding, nonce }
    }

    /// A client whose messages name the user, as they do for all servers but Postgres (RFC 5802, section 5.1).
    pub fn for_user(user: &str, password: &[u8], binding: Binding, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { user, ..Self::new(password, binding, nonce) }
    }

    fn first_bare(&self) -> String {
        format!("n={},r={}", self.user, self.nonce)
    }

    /// The client's first message.
    pub fn first_message(&self) -> String {
        format!("{}{}", self.binding.header(), self.first_bare())
    }

    /// The answer to the server's first message. Hashing stops once `goes_on` says so.
    ///
    /// # Errors
    ///
    /// The message is not one of SCRAM's, or asks for what is not done.
    pub fn answer(
        self,
        server_first: &[u8],
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<(String, ServerSignature), ScramError> {
        let text = std::str::from_utf8(server_first).map_err(|_| ScramError::Malformed("it is not UTF-8"))?;
        let challenge = Challenge::parse(text)?;
        if !challenge.nonce.starts_with(&self.nonce) || challenge.nonce.len() == self.nonce.len() {
            return Err(ScramError::Malformed("its nonce does not begin with ours"));
        }
        let salted = salted_password(&self.password, &challenge.salt, challenge.iterations, goes_on)?;
        let bound = [self.binding.header().as_bytes(), self.binding.data()].concat();
        let without_proof = format!("c={},r={}", STANDARD.encode(bound), challenge.nonce);
        let signed = format!("{},{text},{without_proof}", self.first_bare());

        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, signature)| key ^ signature).collect();
        let server_signature = hmac(&hmac(&salted, b"Server Key"), signed.as_bytes());
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), ServerSignature(server_signature)))
    }
}

impl ServerSignature {
    /// Whether the server's last message proves that it knows the password.
    ///
    /// # Errors
    ///
    /// It proves it not, or is no such message.
    pub fn check(&self, server_final: &[u8]) -> Result<(), ScramError> {
        let text = std::str::from_utf8(server_final).map_err(|_| ScramError::Malformed("it is not UTF-8"))?;
        let first = text.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            return Err(ScramError::Server(crate::outcome::quoted(error.as_bytes())));
        }
        let verifier = first.strip_prefix("v=").ok_or(ScramError::Malformed("it has no `v=`"))?;
        let verifier = STANDARD.decode(verifier).map_err(|_| ScramError::Malformed("its `v=` is not base64"))?;
        if verifier == self.0 { Ok(()) } else { Err(ScramError::WrongSignature) }
    }
}

/// The server's first message (RFC 5802, section 7: `server-first-message`).
struct Challenge<'a> {
    nonce: &'a str,
    salt: Vec<u8>,
    iterations: u32,
}

impl<'a> Challenge<'a> {
    fn parse(text: &'a str) -> Result<Self, ScramError> {
        let mut attributes = text.split(',');
        let mut next = |name, problem| {
            attributes.next().and_then(|attribute| attribute.strip_prefix(name)).ok_or(ScramError::Malformed(problem))
        };
        let nonce = next("r=", "it does not begin with `r=`")?;
        let salt = next("s=", "its second attribute is not `s=`")?;
        let iterations = next("i=", "its third attribute is not `i=`")?;
        let salt = STANDARD.decode(salt).map_err(|_| ScramError::Malformed("its salt is not base64"))?;
        let is_number = !iterations.is_empty() && iterations.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err(ScramError::Malformed("its `i=` is not a number"));
        }
        // Digits that do not fit are a number all the same, an absurd one.
        let iterations: u64 = iterations.parse().unwrap_or(u64::MAX);
        let count = u32::try_from(iterations).ok().filter(|count| (1..=MAX_ITERATIONS).contains(count));
        Ok(Self { nonce, salt, iterations: count.ok_or(ScramError::Iterations(iterations))? })
    }
}

/// The length of SHA-256's blocks.
const BLOCK: usize = 64;
/// The state that SHA-256 begins with (FIPS 180-4, section 5.3.3).
const BEGINNING: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key as the two blocks that HMAC puts before what it hashes (RFC 2104).
fn pads(key: &[u8]) -> ([u8; BLOCK], [u8; BLOCK]) {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    (block.map(|byte| byte ^ 0x36), block.map(|byte| byte ^ 0x5c))
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let (inner, outer) = pads(key);
    let hash = Sha256::new().chain_update(inner).chain_update(message).finalize();
    Sha256::new().chain_update(outer).chain_update(hash).finalize().into()
}

/// `Hi` of RFC 5802, section 2.2, which is PBKDF2 (RFC 8018).
fn salted_password(
    password: &[u8],
    salt: &[u8],
    iterations: u32,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<[u8; 32], ScramError> {
    // The key's blocks are hashed once, not each time: it is half of the work otherwise.
    let (inner, outer) = pads(password);
    let begun = |block: [u8; BLOCK]| {
        let mut state = BEGINNING;
        compress256(&mut state, &[block]);
        state
    };
    let (inner, outer) = (begun(inner), begun(outer));
    let mut last = hmac(password, &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last;
    for iteration in 1..iterations {
        if iteration % ITERATIONS_AT_A_TIME == 0 && !goes_on() {
            return Err(ScramError::OutOfTime);
        }
        last = finished(outer, finished(inner, last));
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    Ok(sum)
}

/// The hash of a block that has been taken into `state` and of these 32 bytes, which end it.
fn finished(mut state: [u32; 8], last: [u8; 32]) -> [u8; 32] {
    // Of the block before it and these bytes.
    const BITS: u16 = 8 * (64 + 32);
    let mut block = [0; BLOCK];
    block[..32].copy_from_slice(&last);
    block[32] = 0x80;
    block[BLOCK - 2..].copy_from_slice(&BITS.to_be_bytes());
    compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    hash.chunks_exact_mut(4).zip(state).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_be_bytes()));
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn client(binding: Binding) -> Client {
        Client::new(b"pencil", binding, NONCE.to_owned())
    }

    fn answer(client: Client, server_first: &str) -> Result<(String, ServerSignature), ScramError> {
        client.answer(server_first.as_bytes(), &mut || true)
    }

    // RFC 7677, section 3, whose user name Postgres does not send.
    #[test]
    fn the_example_of_the_rfc_comes_out() {
        let salted =
            salted_password(b"pencil", &STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096, &mut || true)
                .unwrap();
        let signed =
            format!("n=user,r={NONCE},{SERVER_FIRST},c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(client_key), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(STANDARD.encode(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let server_signature = ServerSignature(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes()));
        assert_eq!(server_signature.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }

    /// The server's side, for the same salt.
    fn server_final(answer: &str, iterations: u32) -> String {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let salted = salted_password(b"pencil", &salt, iterations, &mut || true).unwrap();
        let (without_proof, _) = answer.rsplit_once(",p=").unwrap();
        let signed = format!("n=,r={NONCE},{SERVER_FIRST},{without_proof}");
        format!("v={}", STANDARD.encode(hmac(&hmac(&salted, b"Server Key"), signed.as_bytes())))
    }

    #[test]
    fn only_a_server_that_knows_the_password_is_believed() {
        let (message, signature) = answer(client(Binding::Unsupported), SERVER_FIRST).unwrap();
        assert!(message.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="));
        assert_eq!(signature.check(server_final(&message, 4096).as_bytes()), Ok(()));
        assert_eq!(signature.check(server_final(&message, 4095).as_bytes()), Err(ScramError::WrongSignature));
        assert_eq!(signature.check(b"v="), Err(ScramError::WrongSignature));
        assert_eq!(signature.check(b"e=invalid-proof"), Err(ScramError::Server("invalid-proof".into())));
        for wrong in [&b""[..], b"v=!", b"x=1", b"\xff"] {
            assert!(matches!(signature.check(wrong), Err(ScramError::Malformed(_))), "{wrong:?}");
        }
    }

    #[test]
    fn what_it_is_bound_to_is_said_and_signed() {
        for (binding, header, sent) in [
            (Binding::Unsupported, "n,,", "c=biws,"),
            (Binding::NotOffered, "y,,", "c=eSws,"),
            (
                Binding::EndPoint(b"hash".to_vec()),
                "p=tls-server-end-point,,",
                "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsaGFzaA==,",
            ),
        ] {
            assert_eq!(client(binding.clone()).first_message(), format!("{header}n=,r={NONCE}"));
            let (message, _) = answer(client(binding), SERVER_FIRST).unwrap();
            assert!(message.starts_with(sent), "{message}");
        }
    }

    #[test]
    fn a_challenge_that_is_none_or_absurd_is_refused_with_its_number() {
        let with = |iterations: &str| SERVER_FIRST.replace("i=4096", &format!("i={iterations}"));
        for (text, error) in [
            (with("0"), ScramError::Iterations(0)),
            (with("10000001"), ScramError::Iterations(10_000_001)),
            (with("4294967297"), ScramError::Iterations(4_294_967_297)),
            (with("99999999999999999999999"), ScramError::Iterations(u64::MAX)),
            (with("-1"), ScramError::Malformed("its `i=` is not a number")),
            (with(""), ScramError::Malformed("its `i=` is not a number")),
            ("r=other,s=W22Z,i=1".to_owned(), ScramError::Malformed("its nonce does not begin with ours")),
            (format!("r={NONCE},s=W22Z,i=1"), ScramError::Malformed("its nonce does not begin with ours")),
            (format!("r={NONCE}x,s=!,i=1"), ScramError::Malformed("its salt is not base64")),
            (format!("m=x,r={NONCE}x,s=W22Z,i=1"), ScramError::Malformed("it does not begin with `r=`")),
            (String::new(), ScramError::Malformed("it does not begin with `r=`")),
        ] {
            assert_eq!(answer(client(Binding::Unsupported), &text).err(), Some(error), "{text}");
        }
    }

    // RFC 4231, test cases 2 and 6, and RFC 7914, section 11.
    #[test]
    fn the_hashes_are_those_of_the_rfcs() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        assert_eq!(
            hex(&salted_password(b"passwd", b"salt", 1, &mut || true).unwrap()),
            "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        );
        assert_eq!(
            hex(&salted_password(b"Password", b"NaCl", 80_000, &mut || true).unwrap()),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
        );
    }

    #[test]
    fn hashing_ends_with_the_time() {
        let text = SERVER_FIRST.replace("i=4096", "i=10000000");
        let mut asked = 0;
        let stopped = client(Binding::Unsupported).answer(text.as_bytes(), &mut || {
            asked += 1;
            asked < 2
        });
        assert_eq!((stopped.err(), asked), (Some(ScramError::OutOfTime), 2));
    }

    #[test]
    fn no_two_nonces_are_the_same() {
        let (one, other) = (nonce().unwrap(), nonce().unwrap());
        assert!(one != other && one.len() == 24 && !one.contains(','));
    }

    proptest! {
        #[test]
        fn arbitrary_messages_never_panic(bytes: Vec<u8>, text in "[rsime]=[ -~]{0,20}(,[rsive]=[0-9a-zA-Z+/=]{0,8}){0,4}") {
            for message in [&bytes[..], text.as_bytes()] {
                drop(client(Binding::Unsupported).answer(message, &mut || false));
                drop(ServerSignature([0; 32]).check(message));
            }
        }
    }

    #[test]
    fn the_exchange_of_rfc_7677_with_its_user() {
        let client = Client::for_user("user", b"pencil", Binding::Unsupported, "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(client.first_message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let first = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let (answer, signature) = client.answer(first.as_bytes(), &mut || true).unwrap();
        assert_eq!(answer, format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
        assert_eq!(signature.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }
}
