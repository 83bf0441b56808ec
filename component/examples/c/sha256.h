// SHA-256 (FIPS 180-4) and HMAC (RFC 2104) over it, for messages of less than 512 MB. Real programs use their
// cryptographic library.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t bytes[32];
} digest_t;

static inline void sha256_block(uint32_t state[8], const uint8_t block[64]) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };
#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | block[4 * i + 1] << 16 | block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + (ROTATE(w[i - 15], 7) ^ ROTATE(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
               (ROTATE(w[i - 2], 17) ^ ROTATE(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t a = s[0], e = s[4];
        uint32_t t1 = s[7] + (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + k[i] + w[i];
        uint32_t t2 = (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
#undef ROTATE
}

// The hash of two parts, one after the other. The first is empty or has 64 bytes.
static inline digest_t sha256_parts(const uint8_t *first, size_t first_length, const void *second, size_t length) {
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t end[128] = {0};
    size_t rest = length % 64, ends = rest < 56 ? 64 : 128;
    uint64_t bits = 8 * (uint64_t)(first_length + length);
    if (first_length) sha256_block(state, first);
    for (size_t at = 0; at + 64 <= length; at += 64) sha256_block(state, (const uint8_t *)second + at);
    if (rest) memcpy(end, (const uint8_t *)second + length - rest, rest);
    end[rest] = 0x80;
    for (int i = 0; i < 8; i++) end[ends - 1 - i] = (uint8_t)(bits >> 8 * i);
    for (size_t at = 0; at < ends; at += 64) sha256_block(state, end + at);
    digest_t digest;
    for (int i = 0; i < 32; i++) digest.bytes[i] = (uint8_t)(state[i / 4] >> (24 - i % 4 * 8));
    return digest;
}

static inline digest_t sha256(const void *message, size_t length) {
    return sha256_parts(NULL, 0, message, length);
}

static inline digest_t hmac_sha256(const void *key, size_t key_length, const void *message, size_t length) {
    uint8_t inner[64], outer[64];
    digest_t digest;
    if (key_length > 64) {
        digest = sha256(key, key_length);
        key = digest.bytes;
        key_length = sizeof digest.bytes;
    }
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < key_length; i++) {
        inner[i] ^= ((const uint8_t *)key)[i];
        outer[i] ^= ((const uint8_t *)key)[i];
    }
    digest = sha256_parts(inner, sizeof inner, message, length);
    return sha256_parts(outer, sizeof outer, digest.bytes, sizeof digest.bytes);
}
