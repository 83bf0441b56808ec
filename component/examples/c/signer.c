// Signs a request to S3 with credentials that the component imports. Without the standard library's streams, which
// would import a file system.
#include "sha256.h"
#include "signer.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

// A string that grows.
typedef struct {
    char *ptr;
    size_t len;
} text_t;

static void append(text_t *text, const void *bytes, size_t length) {
    text->ptr = realloc(text->ptr, text->len + length);
    if (!text->ptr) abort();
    memcpy(text->ptr + text->len, bytes, length);
    text->len += length;
}

static void add(text_t *text, const char *string) {
    append(text, string, strlen(string));
}

static void add_string(text_t *text, signer_string_t string) {
    append(text, string.ptr, string.len);
}

static void add_hex(text_t *text, digest_t digest) {
    for (size_t i = 0; i < sizeof digest.bytes; i++) {
        append(text, &"0123456789abcdef"[digest.bytes[i] >> 4], 1);
        append(text, &"0123456789abcdef"[digest.bytes[i] & 15], 1);
    }
}

static void add_number(text_t *text, int number, int digits) {
    if (digits > 1) add_number(text, number / 10, digits - 1);
    append(text, &"0123456789"[number % 10], 1);
}

static void add_header(signer_list_header_t *headers, const char *name, text_t value) {
    headers->ptr = realloc(headers->ptr, (headers->len + 1) * sizeof *headers->ptr);
    if (!headers->ptr) abort();
    signer_header_t *header = &headers->ptr[headers->len++];
    signer_string_dup(&header->f0, name);
    // The bindings free it after the call.
    header->f1 = (signer_string_t){(uint8_t *)value.ptr, value.len};
}

static void explain(imds_credentials_provider_error_t *error, signer_string_t *message) {
    text_t text = {0};
    switch (error->tag) {
    case IMDS_CREDENTIALS_PROVIDER_ERROR_DISABLED:
        add(&text, "IMDS is disabled");
        break;
    case IMDS_CREDENTIALS_PROVIDER_ERROR_INVALID_CONFIGURATION:
        add_string(&text, error->val.invalid_configuration.name);
        add(&text, " is ");
        add_string(&text, error->val.invalid_configuration.value);
        add(&text, "; accepted: ");
        add_string(&text, error->val.invalid_configuration.accepted);
        break;
    case IMDS_CREDENTIALS_PROVIDER_ERROR_FAILED:
        add_string(&text, error->val.failed.message);
        break;
    case IMDS_CREDENTIALS_PROVIDER_ERROR_UNSUPPORTED:
        add_string(&text, error->val.unsupported);
        break;
    default:
        add_string(&text, error->val.other);
    }
    imds_credentials_provider_error_free(error);
    *message = (signer_string_t){(uint8_t *)text.ptr, text.len};
}

// The headers of a request, signed with AWS Signature Version 4.
static void sign(const imds_credentials_provider_credentials_t *credentials, signer_string_t bucket,
                 signer_string_t region, time_t time, signer_list_header_t *headers) {
    struct tm at;
    gmtime_r(&time, &at);
    text_t host = {0}, empty = {0}, date = {0}, token = {0}, scope = {0};
    add_string(&host, bucket);
    add(&host, ".s3.");
    add_string(&host, region);
    add(&host, ".amazonaws.com");
    add_hex(&empty, sha256("", 0));
    add_number(&date, at.tm_year + 1900, 4);
    add_number(&date, at.tm_mon + 1, 2);
    add_number(&date, at.tm_mday, 2);
    add(&date, "T");
    add_number(&date, at.tm_hour, 2);
    add_number(&date, at.tm_min, 2);
    add_number(&date, at.tm_sec, 2);
    add(&date, "Z");
    *headers = (signer_list_header_t){0};
    add_header(headers, "host", host);
    add_header(headers, "x-amz-content-sha256", empty);
    add_header(headers, "x-amz-date", date);
    if (credentials->session_token.is_some) {
        add_string(&token, credentials->session_token.val);
        add_header(headers, "x-amz-security-token", token);
    }

    text_t request = {0}, names = {0}, text = {0}, key = {0};
    add(&request, "GET\n/\n\n");
    for (size_t i = 0; i < headers->len; i++) {
        add_string(&request, headers->ptr[i].f0);
        add(&request, ":");
        add_string(&request, headers->ptr[i].f1);
        add(&request, "\n");
        if (i) add(&names, ";");
        add_string(&names, headers->ptr[i].f0);
    }
    add(&request, "\n");
    append(&request, names.ptr, names.len);
    add(&request, "\n");
    append(&request, empty.ptr, empty.len);

    append(&scope, date.ptr, 8);
    add(&scope, "/");
    add_string(&scope, region);
    add(&scope, "/s3/aws4_request");
    add(&text, "AWS4-HMAC-SHA256\n");
    append(&text, date.ptr, date.len);
    add(&text, "\n");
    append(&text, scope.ptr, scope.len);
    add(&text, "\n");
    add_hex(&text, sha256(request.ptr, request.len));

    add(&key, "AWS4");
    add_string(&key, credentials->secret_access_key);
    digest_t signature = hmac_sha256(key.ptr, key.len, date.ptr, 8);
    signature = hmac_sha256(signature.bytes, sizeof signature.bytes, region.ptr, region.len);
    signature = hmac_sha256(signature.bytes, sizeof signature.bytes, "s3", 2);
    signature = hmac_sha256(signature.bytes, sizeof signature.bytes, "aws4_request", 12);
    signature = hmac_sha256(signature.bytes, sizeof signature.bytes, text.ptr, text.len);

    text_t authorization = {0};
    add(&authorization, "AWS4-HMAC-SHA256 Credential=");
    add_string(&authorization, credentials->access_key_id);
    add(&authorization, "/");
    append(&authorization, scope.ptr, scope.len);
    add(&authorization, ", SignedHeaders=");
    append(&authorization, names.ptr, names.len);
    add(&authorization, ", Signature=");
    add_hex(&authorization, signature);
    add_header(headers, "authorization", authorization);

    free(request.ptr);
    free(names.ptr);
    free(scope.ptr);
    free(text.ptr);
    free(key.ptr);
}

bool exports_signer_sign(signer_string_t *bucket, signer_string_t *region, uint32_t time, signer_list_header_t *headers,
                         signer_string_t *error) {
    // Called for each request. The component has the credentials in its cache.
    imds_credentials_provider_credentials_t credentials;
    imds_credentials_provider_error_t failed;
    bool has_credentials = imds_credentials_provider_get_credentials(&credentials, &failed);
    if (has_credentials) {
        sign(&credentials, *bucket, *region, time, headers);
        imds_credentials_provider_credentials_free(&credentials);
    } else {
        explain(&failed, error);
    }
    signer_string_free(bucket);
    signer_string_free(region);
    return has_credentials;
}
