//! llama.cpp's quantiser.

use super::super::log::Level;
use super::{sys, text};
use crate::runtime::quantize::Order;
use std::ffi::{CString, NulError, c_char, c_void};
use std::ptr;

/// Rows that are held at once: the embeddings of a large vocabulary take gigabytes as floats.
/// The result is the same, since rows are quantised one by one.
const MOST_BUFFERED_BYTES: usize = 512 << 20;

/// Hears what llama.cpp logs, piece by piece.
type Ear<'a> = dyn Fn(Level, &str) + Sync + 'a;

/// Does what is ordered, and returns whether that went well; where it did not, the log has said
/// why. After [`super::init`]; the log goes to `hear` alone, and afterwards to nobody.
pub fn quantize(order: &Order, hear: &Ear) -> Result<bool, NulError> {
    let input = CString::new(order.input.as_str())?;
    let output = CString::new(order.output.as_deref().unwrap_or_default())?;
    // SAFETY: the strings and `hear` outlive the calls between which they are used: the log is
    // turned away before this function returns.
    let status = unsafe {
        let mut options = sys::llama_model_quantize_default_params();
        options.nthread = i32::try_from(order.threads).unwrap_or(i32::MAX);
        options.ftype = order.file_type;
        options.allow_requantize = order.allow_requantize;
        options.dry_run = order.output.is_none();
        options.max_buf_size = MOST_BUFFERED_BYTES;
        sys::llama_log_set(Some(on_log), (&raw const hear).cast_mut().cast());
        let status = sys::llama_model_quantize(input.as_ptr(), output.as_ptr(), &raw const options);
        sys::llama_log_set(Some(on_log_to_nobody), ptr::null_mut());
        status
    };
    Ok(status == 0)
}

unsafe extern "C" fn on_log(level: sys::ggml_log_level, piece: *const c_char, hear: *mut c_void) {
    // SAFETY: `quantize` passes its ear, and turns the log away before it returns.
    let hear = unsafe { *hear.cast::<&Ear>() };
    let level = match level {
        sys::GGML_LOG_LEVEL_ERROR => Level::Error,
        sys::GGML_LOG_LEVEL_WARN => Level::Warn,
        _ => Level::Info,
    };
    hear(level, &text(piece));
}

unsafe extern "C" fn on_log_to_nobody(_: sys::ggml_log_level, _: *const c_char, _: *mut c_void) {}
