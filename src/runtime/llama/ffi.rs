//! llama.cpp behind a small safe interface.
//!
//! The safe crate `llama-cpp-2` hides its context's pointer, and the abort callback, the
//! repack switch and the limit on outputs only exist for raw pointers. Safe and raw calls
//! can't be mixed on one context, so model and context are used through `llama-cpp-sys-2`
//! alone; the backend, which has no pointer, through `llama-cpp-2`.
#![allow(unsafe_code, reason = "the one place: a C library has no other door")]

mod outputs;
pub mod quantize;

use super::Failure;
use super::kind::{Kind, NotRun, Traits};
use super::log::{self, Level, LoadLog};
use super::stop::StopFlag;
use crate::workload::{FlashAttn, KvType, Params};
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_sys_2 as sys;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::Arc;

pub type Token = sys::llama_token;

/// llama.cpp's default, and llama-bench's.
const N_UBATCH: u32 = 512;

/// llama.h's `LLAMA_TOKEN_NULL`.
const NULL_TOKEN: Token = -1;

/// A model with one context of one sequence. Used by the thread that made it.
#[derive(Debug)]
pub struct Engine {
    context: NonNull<sys::llama_context>,
    model: NonNull<sys::llama_model>,
    vocab: NonNull<sys::llama_vocab>,
    n_vocab: usize,
    n_ctx: u32,
    n_batch: u32,
    /// What an encoder-decoder model's decoder begins with.
    decoder_start: Option<Token>,
    n_outputs: u32,
    /// Read by the abort callback as long as the context lives.
    _stop: Arc<StopFlag>,
}

/// Why an evaluation did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// The stop flag was set.
    Stopped,
    Failed(Failure),
}

/// Starts llama.cpp. Once in a process, before any other thread. Complaints of a
/// computation that `stop` has ended are not passed on.
pub fn init(stop: &Arc<StopFlag>) -> Result<LlamaBackend, Failure> {
    // SAFETY: no other thread exists yet that could read the environment.
    unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
    let lasting = Arc::into_raw(Arc::clone(stop));
    // SAFETY: the callback's flag is never freed: this count is not given back.
    unsafe { sys::llama_log_set(Some(on_log), lasting.cast_mut().cast()) };
    #[cfg(feature = "dynamic-backends")]
    super::backends::load()?;
    LlamaBackend::init().map_err(|error| {
        Failure::new(
            "load-failed",
            format!("llama.cpp can't be started: {error}"),
        )
    })
}

/// The version that llama.cpp was built as.
pub fn version() -> String {
    // SAFETY: a static, terminated string.
    text(unsafe { sys::llama_version() })
}

/// "CPU : SSE3 = 1 | AVX = 1 | ...".
pub fn system_info() -> String {
    // SAFETY: a static, terminated string.
    text(unsafe { sys::llama_print_system_info() })
}

/// Ends the process without running destructors, which would race with computing threads.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

impl Engine {
    /// Loads the model and makes its context, with room for the logits of `n_outputs` tokens.
    /// Cancelling ends the loading.
    pub fn load(
        path: &Path,
        params: &Params,
        n_outputs: u32,
        threads: u32,
        stop: &Arc<StopFlag>,
    ) -> (Result<Engine, DecodeError>, LoadLog) {
        log::capture(|| Self::load_uncaptured(path, params, n_outputs, threads, stop))
    }

    fn load_uncaptured(
        path: &Path,
        params: &Params,
        n_outputs: u32,
        threads: u32,
        stop: &Arc<StopFlag>,
    ) -> Result<Engine, DecodeError> {
        let n_outputs = n_outputs.clamp(1, params.n_batch.min(params.n_ctx).max(1));
        let failed = |what: &str| {
            if stop.is_set() {
                return DecodeError::Stopped;
            }
            let text = format!("{}: {what}", path.display());
            DecodeError::Failed(Failure::new("load-failed", text))
        };
        let refused = |why: NotRun| {
            let text = format!("{}: {why}", path.display());
            DecodeError::Failed(Failure::new("unsupported-model", text))
        };
        let c_path = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| failed("its name contains a NUL byte"))?;
        let mut no_devices = [ptr::null_mut()];
        // SAFETY: plain data; the arrays outlive the call, the flag outlives the model.
        let model = unsafe {
            let mut options = sys::llama_model_default_params();
            if params.gpu_layers == 0 {
                options.devices = no_devices.as_mut_ptr();
            }
            options.n_gpu_layers = i32::try_from(params.gpu_layers).unwrap_or(i32::MAX);
            options.load_mode = if params.mmap {
                sys::LLAMA_LOAD_MODE_MMAP
            } else {
                sys::LLAMA_LOAD_MODE_NONE
            };
            options.use_extra_bufts = params.repack;
            options.progress_callback = Some(on_progress);
            options.progress_callback_user_data = flag_pointer(stop);
            sys::llama_model_load_from_file(c_path.as_ptr(), options)
        };
        let model = NonNull::new(model).ok_or_else(|| failed("llama.cpp can't load it"))?;
        // SAFETY: the model is alive; from here on `Model` frees it if anything fails.
        let (owned, kind) = unsafe { Model(model).checked() }.map_err(refused)?;
        let decoder_start = match kind {
            Kind::Decoder => None,
            Kind::EncoderDecoder => Some(encoder_decoder(&owned, params).map_err(refused)?),
        };
        // SAFETY: plain data; the flag is kept alive by the engine.
        let context = unsafe {
            let mut options = sys::llama_context_default_params();
            options.n_ctx = params.n_ctx;
            options.n_batch = params.n_batch.min(params.n_ctx);
            // An encoder reads the prompt at once, or llama.cpp aborts.
            options.n_ubatch = match kind {
                Kind::Decoder => N_UBATCH,
                Kind::EncoderDecoder => options.n_batch,
            };
            // Room for the logits of no more tokens than are looked at.
            options.n_outputs_max = n_outputs;
            options.n_threads = threads as i32;
            options.n_threads_batch = threads as i32;
            options.flash_attn_type = match params.flash_attn {
                FlashAttn::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
                FlashAttn::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
                FlashAttn::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
            };
            options.type_k = element_type(params.kv_type);
            options.type_v = element_type(params.kv_type);
            // The cache is cleared as a whole, so sliding windows need no more than a window.
            options.swa_full = false;
            options.no_perf = true;
            options.abort_callback = Some(on_abort_asked);
            options.abort_callback_data = flag_pointer(stop);
            sys::llama_init_from_model(owned.0.as_ptr(), options)
        };
        let context = NonNull::new(context)
            .ok_or_else(|| failed("llama.cpp can't make a context for it; reduce n_ctx"))?;
        // SAFETY: the context is alive.
        if unsafe { sys::llama_get_memory(context.as_ptr()) }.is_null() {
            // SAFETY: made by llama.cpp, freed once; nothing else has it.
            unsafe { sys::llama_free(context.as_ptr()) };
            return Err(refused(NotRun::Encoder));
        }
        let model = owned.release();
        // SAFETY: model and context are alive; the vocabulary belongs to the model.
        unsafe {
            let vocab = sys::llama_model_get_vocab(model.as_ptr());
            Ok(Engine {
                n_vocab: sys::llama_vocab_n_tokens(vocab) as usize,
                decoder_start,
                n_ctx: sys::llama_n_ctx_seq(context.as_ptr()),
                n_batch: sys::llama_n_batch(context.as_ptr()),
                n_outputs,
                vocab: NonNull::new(vocab.cast_mut()).expect("a loaded model has a vocabulary"),
                context,
                model,
                _stop: Arc::clone(stop),
            })
        }
    }

    /// Tokens that fit into the context.
    pub fn n_ctx(&self) -> u32 {
        self.n_ctx
    }

    /// Tokens that may be evaluated with one call.
    pub fn n_batch(&self) -> u32 {
        self.n_batch
    }

    pub fn n_ubatch(&self) -> u32 {
        // SAFETY: the context is alive.
        unsafe { sys::llama_n_ubatch(self.context.as_ptr()) }
    }

    pub fn n_vocab(&self) -> usize {
        self.n_vocab
    }

    /// What the decoder of an encoder-decoder model begins with, once the prompt is encoded.
    /// `None`: the model has no encoder.
    pub fn decoder_start(&self) -> Option<Token> {
        self.decoder_start
    }

    /// Forgets every token. What an encoder made of its last prompt stays until the next one.
    pub fn clear(&mut self) {
        // SAFETY: the context is alive; its memory may be null, which is allowed here.
        unsafe {
            let memory = sys::llama_get_memory(self.context.as_ptr());
            sys::llama_memory_clear(memory, false);
        }
    }

    /// Has the encoder read a whole prompt, in place of the one before.
    pub fn encode(&mut self, tokens: &mut [Token]) -> Result<(), DecodeError> {
        self.evaluate(tokens, sys::llama_encode)
    }

    /// Evaluates tokens after those in the context; the logits of the last one are kept. A
    /// decoder that belongs to an encoder needs a prompt to be [`encode`](Self::encode)d before.
    pub fn decode(&mut self, tokens: &mut [Token]) -> Result<(), DecodeError> {
        self.evaluate(tokens, sys::llama_decode)
    }

    fn evaluate(
        &mut self,
        tokens: &mut [Token],
        how: unsafe extern "C" fn(*mut sys::llama_context, sys::llama_batch) -> i32,
    ) -> Result<(), DecodeError> {
        // llama.cpp aborts on an empty or too large batch.
        if tokens.is_empty() || tokens.len() > self.n_batch as usize {
            return Err(too_large(tokens.len()));
        }
        // SAFETY: the batch borrows `tokens` for this call only, and its length is theirs; `how`
        // is one of llama.cpp's two functions that take a context and a batch.
        let status = unsafe {
            let batch = sys::llama_batch_get_one(tokens.as_mut_ptr(), tokens.len() as i32);
            how(self.context.as_ptr(), batch)
        };
        decoded(status)
    }

    /// Returns when everything that was asked of an accelerator is done.
    pub fn synchronise(&mut self) {
        // SAFETY: the context is alive.
        unsafe { sys::llama_synchronize(self.context.as_ptr()) };
    }

    /// One logit for each token of the vocabulary; `None` before any evaluation.
    pub fn logits(&mut self) -> Option<&[f32]> {
        // SAFETY: the row has n_vocab elements, and stays until the next evaluation, which
        // needs `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.context.as_ptr(), -1);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, self.n_vocab))
        }
    }

    /// Special tokens in the text are taken as such; `add_special` puts the model's
    /// beginning-of-sequence token before it, if the model wants one.
    pub fn tokenise(&self, input: &str, add_special: bool) -> Result<Vec<Token>, Failure> {
        self.tokens_of(input, add_special, true)
    }

    /// The same for a text in which special tokens are text like any other.
    pub fn tokenise_plain(&self, input: &str) -> Result<Vec<Token>, Failure> {
        self.tokens_of(input, true, false)
    }

    fn tokens_of(
        &self,
        input: &str,
        add_special: bool,
        parse_special: bool,
    ) -> Result<Vec<Token>, Failure> {
        let too_long =
            || Failure::new("prompt-too-long", "the prompt can't be tokenised: too long");
        let length = i32::try_from(input.len()).map_err(|_| too_long())?;
        // Most tokenizers make no more tokens than bytes, but for the special ones. Those that
        // normalise the text first can: one ligature may be eighteen letters.
        let mut tokens = vec![0; input.len() + 16];
        for _ in 0..2 {
            // SAFETY: pointers and lengths are those of the string and the vector.
            let count = unsafe {
                sys::llama_tokenize(
                    self.vocab.as_ptr(),
                    input.as_ptr().cast(),
                    length,
                    tokens.as_mut_ptr(),
                    tokens.len() as i32,
                    add_special,
                    parse_special,
                )
            };
            // Below 0: how many there are.
            match usize::try_from(count) {
                Ok(count) => {
                    tokens.truncate(count);
                    return Ok(tokens);
                }
                Err(_) if count == i32::MIN => break,
                Err(_) => tokens.resize(count.unsigned_abs() as usize, 0),
            }
        }
        Err(too_long())
    }

    /// The bytes of a token; `special`: those of control tokens too.
    pub fn piece(&self, token: Token, special: bool) -> Vec<u8> {
        let mut bytes = vec![0u8; 64];
        for _ in 0..2 {
            // SAFETY: pointer and length are those of the vector.
            let length = unsafe {
                sys::llama_token_to_piece(
                    self.vocab.as_ptr(),
                    token,
                    bytes.as_mut_ptr().cast(),
                    bytes.len() as i32,
                    0,
                    special,
                )
            };
            match usize::try_from(length) {
                Ok(length) => {
                    bytes.truncate(length);
                    return bytes;
                }
                Err(_) => bytes.resize(length.unsigned_abs() as usize, 0),
            }
        }
        Vec::new()
    }

    /// Whether the token ends a generation.
    pub fn is_eog(&self, token: Token) -> bool {
        // SAFETY: the vocabulary is alive.
        unsafe { sys::llama_vocab_is_eog(self.vocab.as_ptr(), token) }
    }

    /// The beginning-of-sequence token that the model wants before a text.
    pub fn leading_bos(&self) -> Option<Token> {
        // SAFETY: the vocabulary is alive.
        unsafe {
            let bos = sys::llama_vocab_bos(self.vocab.as_ptr());
            let wanted = sys::llama_vocab_get_add_bos(self.vocab.as_ptr());
            (wanted && bos >= 0).then_some(bos)
        }
    }

    /// Whether the model wants an end-of-sequence token behind each text.
    pub fn adds_eos(&self) -> bool {
        // SAFETY: the vocabulary is alive.
        unsafe { sys::llama_vocab_get_add_eos(self.vocab.as_ptr()) }
    }

    /// As templates write it; empty if there is none.
    pub fn bos_text(&self) -> String {
        // SAFETY: the vocabulary is alive.
        self.special_text(unsafe { sys::llama_vocab_bos(self.vocab.as_ptr()) })
    }

    /// As templates write it; empty if there is none.
    pub fn eos_text(&self) -> String {
        // SAFETY: the vocabulary is alive.
        self.special_text(unsafe { sys::llama_vocab_eos(self.vocab.as_ptr()) })
    }

    fn special_text(&self, token: Token) -> String {
        if token < 0 {
            return String::new();
        }
        String::from_utf8_lossy(&self.piece(token, true)).into_owned()
    }

    pub fn chat_template(&self) -> Option<String> {
        // SAFETY: the model is alive; the string is its own, or null.
        let template = unsafe { sys::llama_model_chat_template(self.model.as_ptr(), ptr::null()) };
        (!template.is_null()).then(|| text(template))
    }

    /// Such as "llama 135M Q4_1".
    pub fn description(&self) -> String {
        let mut buffer = [0 as c_char; 256];
        // SAFETY: pointer and length are those of the buffer, which gets terminated.
        unsafe {
            sys::llama_model_desc(self.model.as_ptr(), buffer.as_mut_ptr(), buffer.len());
            text(buffer.as_ptr())
        }
    }

    pub fn architecture(&self) -> String {
        meta(self.model, c"general.architecture").unwrap_or_default()
    }

    pub fn params(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_params(self.model.as_ptr()) }
    }

    /// Of all tensors.
    pub fn size_bytes(&self) -> u64 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_size(self.model.as_ptr()) }
    }

    pub fn n_ctx_train(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_ctx_train(self.model.as_ptr()) }.unsigned_abs()
    }

    pub fn n_layer(&self) -> u32 {
        // SAFETY: the model is alive.
        unsafe { sys::llama_model_n_layer(self.model.as_ptr()) }.unsigned_abs()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: both were made by llama.cpp and are freed once, the context first.
        unsafe {
            sys::llama_free(self.context.as_ptr());
            sys::llama_model_free(self.model.as_ptr());
        }
    }
}

fn decode_failed(what: String) -> DecodeError {
    DecodeError::Failed(Failure::new("decode-failed", what))
}

fn too_large(tokens: usize) -> DecodeError {
    decode_failed(format!("{tokens} tokens are no batch"))
}

/// What llama_decode returned.
fn decoded(status: i32) -> Result<(), DecodeError> {
    match status {
        0 => Ok(()),
        2 => Err(DecodeError::Stopped),
        1 => Err(decode_failed("the context is full; raise n_ctx".to_owned())),
        code => Err(decode_failed(format!(
            "llama.cpp can't evaluate a batch (code {code})"
        ))),
    }
}

/// A model without a context, freed if none comes about.
struct Model(NonNull<sys::llama_model>);

impl Model {
    /// SAFETY: the model must be alive.
    unsafe fn checked(self) -> Result<(Model, Kind), NotRun> {
        let architecture = meta(self.0, c"general.architecture").unwrap_or_default();
        let causal = CString::new(format!("{architecture}.attention.causal"))
            .ok()
            .and_then(|key| meta(self.0, &key));
        // SAFETY: by the contract of this function.
        let kind = unsafe {
            Kind::of(&Traits {
                architecture: &architecture,
                has_encoder: sys::llama_model_has_encoder(self.0.as_ptr()),
                has_decoder: sys::llama_model_has_decoder(self.0.as_ptr()),
                causal: causal.map(|text| text == "true"),
                is_diffusion: sys::llama_model_is_diffusion(self.0.as_ptr()),
            })
        }?;
        Ok((self, kind))
    }

    fn release(self) -> NonNull<sys::llama_model> {
        let model = self.0;
        std::mem::forget(self);
        model
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp, freed once.
        unsafe { sys::llama_model_free(self.0.as_ptr()) };
    }
}

/// A short value of the file's metadata, as text. The model must be alive.
fn meta(model: NonNull<sys::llama_model>, key: &CStr) -> Option<String> {
    let mut buffer = [0 as c_char; 128];
    // SAFETY: pointer and length are those of the buffer, which gets terminated; the callers own
    // the model.
    unsafe {
        let length = sys::llama_model_meta_val_str(
            model.as_ptr(),
            key.as_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
        );
        (length >= 0).then(|| text(buffer.as_ptr()))
    }
}

/// The token that the decoder of an encoder-decoder model begins with, if it can be run so.
fn encoder_decoder(model: &Model, params: &Params) -> Result<Token, NotRun> {
    // SAFETY: the model is alive, and its vocabulary with it.
    let (start, n_vocab) = unsafe {
        let vocab = sys::llama_model_get_vocab(model.0.as_ptr());
        let start = match sys::llama_model_decoder_start_token(model.0.as_ptr()) {
            // As llama.cpp's own programs do.
            NULL_TOKEN => sys::llama_vocab_bos(vocab),
            start => start,
        };
        (start, sys::llama_vocab_n_tokens(vocab))
    };
    if matches!(params.kv_type, KvType::Q8_0 | KvType::Q4_0) {
        return Err(NotRun::QuantisedCache);
    }
    if !(0..n_vocab).contains(&start) {
        return Err(NotRun::NoStart);
    }
    Ok(start)
}

/// Samples from softmax(logits / temperature) with a seeded generator.
#[derive(Debug)]
pub struct Sampler(NonNull<sys::llama_sampler>);

impl Sampler {
    pub fn new(temperature: f32, seed: u32) -> Sampler {
        // SAFETY: the chain owns the samplers that are added to it.
        let chain = unsafe {
            let mut options = sys::llama_sampler_chain_default_params();
            options.no_perf = true;
            let chain = sys::llama_sampler_chain_init(options);
            sys::llama_sampler_chain_add(chain, sys::llama_sampler_init_temp(temperature));
            sys::llama_sampler_chain_add(chain, sys::llama_sampler_init_dist(seed));
            chain
        };
        Sampler(NonNull::new(chain).expect("llama.cpp allocates or throws"))
    }

    /// A token for the last evaluated one; `None` before any evaluation.
    pub fn sample(&mut self, engine: &mut Engine) -> Option<Token> {
        engine.logits()?;
        // SAFETY: sampler and context are alive, and there are logits.
        Some(unsafe { sys::llama_sampler_sample(self.0.as_ptr(), engine.context.as_ptr(), -1) })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // SAFETY: made by llama.cpp, freed once.
        unsafe { sys::llama_sampler_free(self.0.as_ptr()) };
    }
}

/// Page faults of this process that needed the disk: all threads, also those that have ended.
pub fn major_faults() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills a structure of which zeros are a valid value.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    usage.ru_majflt.unsigned_abs()
}

/// Share of a file's pages that are in memory. `None` where the kernel does not tell: it
/// calls every page resident to those who could not write the file (mincore(2)).
pub fn resident_share(path: &Path) -> Option<f64> {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;

    let file = std::fs::File::open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let user = rustix::process::geteuid();
    let owned = user.is_root() || user.as_raw() == metadata.uid();
    let writable = rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    let length = usize::try_from(metadata.len()).ok()?;
    if !(owned || writable) || length == 0 {
        return None;
    }
    let pages = length.div_ceil(rustix::param::page_size());
    let mut resident = vec![0u8; pages];
    // SAFETY: a fresh shared mapping that nobody dereferences; mincore writes one byte for
    // each of its pages; it is unmapped with the length it was mapped with.
    let told = unsafe {
        let address = libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        if address == libc::MAP_FAILED {
            return None;
        }
        let told = libc::mincore(address, length, resident.as_mut_ptr()) == 0;
        libc::munmap(address, length);
        told
    };
    let count = resident.iter().filter(|&&page| page & 1 == 1).count();
    told.then(|| count as f64 / pages as f64)
}

fn element_type(kv_type: KvType) -> sys::ggml_type {
    match kv_type {
        KvType::F32 => sys::GGML_TYPE_F32,
        KvType::F16 => sys::GGML_TYPE_F16,
        KvType::Bf16 => sys::GGML_TYPE_BF16,
        KvType::Q8_0 => sys::GGML_TYPE_Q8_0,
        KvType::Q4_0 => sys::GGML_TYPE_Q4_0,
    }
}

fn flag_pointer(stop: &Arc<StopFlag>) -> *mut c_void {
    Arc::as_ptr(stop).cast_mut().cast()
}

unsafe extern "C" fn on_abort_asked(flag: *mut c_void) -> bool {
    // SAFETY: the pointer of an engine's flag, which lives longer than its context.
    unsafe { &*flag.cast::<StopFlag>() }.is_set()
}

unsafe extern "C" fn on_progress(_: f32, flag: *mut c_void) -> bool {
    // SAFETY: the caller of `Engine::load` holds the flag while it loads.
    !unsafe { &*flag.cast::<StopFlag>() }.is_set()
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, message: *const c_char, flag: *mut c_void) {
    // SAFETY: `init` passes a flag that lives as long as the process.
    let stopped = unsafe { &*flag.cast::<StopFlag>() }.is_set();
    let level = match level {
        _ if stopped => Some(Level::Debug),
        sys::GGML_LOG_LEVEL_CONT => None,
        sys::GGML_LOG_LEVEL_INFO => Some(Level::Info),
        sys::GGML_LOG_LEVEL_WARN => Some(Level::Warn),
        sys::GGML_LOG_LEVEL_ERROR => Some(Level::Error),
        _ => Some(Level::Debug),
    };
    log::receive(level, &text(message));
}

/// A copy of one of llama.cpp's strings; null is empty.
fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: llama.cpp terminates its strings, and none is freed while it is copied.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}
