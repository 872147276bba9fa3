# distutils: libraries = crypto
# cython: language_level=3, boundscheck=False, wraparound=False
"""Opens a client's Initial packet: AES-128-GCM and header protection with keys made from its destination connection id.

Facts: keys and salt RFC 9001 (5.2) and RFC 5869, header protection RFC 9001 (5.4); version 2 RFC 9369 (3.3); the salts
of the drafts draft-ietf-quic-tls-21 to -34 (5.2), of mvfst its QuicConstants.h, of Google's Q050, T050 and T051
Chromium's crypto_utils.cc.

The tag is not checked, so a packet cut by the copy range can still be read: GCM without its tag is AES in counter mode.
Frames that make no sense tell a wrong key as well. The cryptography is OpenSSL's: hardware AES and SHA where there is.
Cost: five HMACs and some 80 blocks of AES, 3.4 µs measured, once or twice a connection. OpenSSL's three contexts are
made for each call: a cache of them would save 0.2 µs of that and have to be shared between threads.
"""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from citygate.datapath.cursor cimport Cursor, copy, over, part, u8

cdef extern from "openssl/evp.h" nogil:
    ctypedef struct EVP_MD:
        pass
    ctypedef struct EVP_MD_CTX:
        pass
    ctypedef struct EVP_CIPHER:
        pass
    ctypedef struct EVP_CIPHER_CTX:
        pass
    EVP_MD* EVP_MD_fetch(void* library, const char* name, const char* properties)
    EVP_MD_CTX* EVP_MD_CTX_new()
    void EVP_MD_CTX_free(EVP_MD_CTX* context)
    int EVP_DigestInit_ex(EVP_MD_CTX* context, const EVP_MD* kind, void* engine)
    int EVP_DigestUpdate(EVP_MD_CTX* context, const void* data, size_t size)
    int EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* to, unsigned int* size)
    EVP_CIPHER* EVP_CIPHER_fetch(void* library, const char* name, const char* properties)
    EVP_CIPHER_CTX* EVP_CIPHER_CTX_new()
    void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX* context)
    int EVP_EncryptInit_ex(EVP_CIPHER_CTX* context, const EVP_CIPHER* kind, void* engine, const void* key,
                           const void* start)
    int EVP_EncryptUpdate(EVP_CIPHER_CTX* context, unsigned char* to, int* size, const void* data, int length)


cdef enum:
    HASH = 32
    BLOCK = 64              # of SHA-256
    KEY = 16
    NONCE = 12
    TAG = 16
    SALT = 20
    ID_MAX = 20
    VERSION_2 = 0x6B3343CF

# Fetched once: looking an algorithm up by its name takes longer than using it.
cdef EVP_MD* SHA_256 = EVP_MD_fetch(NULL, b"SHA256", NULL)
cdef EVP_CIPHER* AES_BLOCK = EVP_CIPHER_fetch(NULL, b"AES-128-ECB", NULL)
cdef EVP_CIPHER* AES_COUNTER = EVP_CIPHER_fetch(NULL, b"AES-128-CTR", NULL)
if SHA_256 == NULL or AES_BLOCK == NULL or AES_COUNTER == NULL:
    raise ImportError("OpenSSL has no SHA-256 or AES-128")


cdef struct Keys:
    uint8_t[HASH] key       # KEY bytes of it; the next too hold a whole hash while they are made
    uint8_t[HASH] nonce     # NONCE bytes
    uint8_t[HASH] header    # KEY bytes


cdef const char* salt_of(uint32_t version) noexcept nogil:
    """The salt of SALT bytes, or NULL for a version whose Initials are not known."""
    if version == 1 or version == 0xFACEB003U or 0xFF000021U <= version <= 0xFF000022U:
        return b"\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
    if version == <uint32_t>VERSION_2:
        return b"\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"
    if 0xFF00001DU <= version <= 0xFF000020U:
        return b"\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"
    if 0xFF000015U <= version <= 0xFF000016U or version == 0xFACEB001U:
        return b"\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x19\x3a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x4a"
    if 0xFF000017U <= version <= 0xFF00001CU or 0xFACEB000U <= version <= 0xFACEB0FFU:
        return b"\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02"
    if version == 0x51303530:       # Q050
        return b"\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45"
    if version == 0x54303530:       # T050
        return b"\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10"
    if version == 0x54303531:       # T051
        return b"\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d"
    return NULL


cdef void half(EVP_MD_CTX* context, const void* key, size_t key_size, uint8_t mask, const void* data, size_t size,
               uint8_t* to) noexcept nogil:
    """One of HMAC's two hashes (RFC 2104): the key, filled up with zeros and masked, then the data."""
    cdef uint8_t[BLOCK] pad
    cdef size_t i
    memset(pad, 0, BLOCK)
    memcpy(pad, key, key_size)
    for i in range(BLOCK):
        pad[i] ^= mask
    EVP_DigestInit_ex(context, SHA_256, NULL)
    EVP_DigestUpdate(context, pad, BLOCK)
    EVP_DigestUpdate(context, data, size)
    EVP_DigestFinal_ex(context, to, NULL)


cdef void hmac(EVP_MD_CTX* context, const void* key, size_t key_size, const void* data, size_t size,
               uint8_t* to) noexcept nogil:
    """HASH bytes; a key of at most BLOCK."""
    cdef uint8_t[HASH] inner
    half(context, key, key_size, 0x36, data, size, inner)
    half(context, key, key_size, 0x5C, inner, HASH, to)


cdef void expand(EVP_MD_CTX* context, const void* secret, const char* label, size_t label_size, uint8_t size,
                 uint8_t* to) noexcept nogil:
    """HKDF-Expand-Label of TLS 1.3 (RFC 8446, 7.1) for at most HASH bytes; always writes HASH."""
    cdef uint8_t[64] info
    memset(info, 0, sizeof(info))
    info[1] = size
    info[2] = <uint8_t>(6 + label_size)
    memcpy(&info[3], <const char*>b"tls13 ", 6)
    memcpy(&info[9], label, label_size)
    info[10 + label_size] = 1       # behind an empty context: the first block of HKDF
    hmac(context, secret, HASH, info, 11 + label_size, to)


cdef bint client_keys(uint32_t version, const Cursor* id, Keys* keys) noexcept nogil:
    cdef const char* salt = salt_of(version)
    cdef uint8_t[HASH] secret, client
    cdef uint8_t[ID_MAX] destination
    cdef size_t id_size = copy(id, 0, destination, ID_MAX)
    cdef EVP_MD_CTX* context
    if salt == NULL:
        return False
    context = EVP_MD_CTX_new()
    if context == NULL:
        return False
    hmac(context, salt, SALT, destination, id_size, secret)
    expand(context, secret, b"client in", 9, HASH, client)
    if version == <uint32_t>VERSION_2:
        expand(context, client, b"quicv2 key", 10, KEY, keys.key)
        expand(context, client, b"quicv2 iv", 9, NONCE, keys.nonce)
        expand(context, client, b"quicv2 hp", 9, KEY, keys.header)
    else:
        expand(context, client, b"quic key", 8, KEY, keys.key)
        expand(context, client, b"quic iv", 7, NONCE, keys.nonce)
        expand(context, client, b"quic hp", 7, KEY, keys.header)
    EVP_MD_CTX_free(context)
    return True


cdef bint encrypt(const EVP_CIPHER* kind, const void* key, const void* start, const void* data, int size,
                  uint8_t* to) noexcept nogil:
    cdef EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new()
    cdef int written = 0
    cdef bint done
    if context == NULL:
        return False
    done = (EVP_EncryptInit_ex(context, kind, NULL, key, start) == 1
            and EVP_EncryptUpdate(context, to, &written, data, size) == 1 and written == size)
    EVP_CIPHER_CTX_free(context)
    return done


cdef size_t open_initial(uint32_t version, const Cursor* id, const Cursor* packet, size_t number_at, size_t length,
                         uint8_t* plain) noexcept nogil:
    """The frames of an Initial, in the clear; how many bytes, at most PLAIN_MAX. 0: the key does not fit, or it is cut.

    ``packet`` begins at its first byte, the packet number lies at ``number_at``, and ``length`` is what the header says
    of number, frames and tag together. ``id``: the connection id that the client's first packet was sent to.
    """
    cdef Keys keys
    cdef uint8_t[KEY] sample, mask, start
    cdef uint8_t[PLAIN_MAX] sealed
    cdef size_t i, at, number_size, size
    cdef Cursor body
    if copy(packet, number_at + 4, sample, KEY) < KEY or not client_keys(version, id, &keys):
        return 0
    if not encrypt(AES_BLOCK, keys.header, NULL, sample, KEY, mask):
        return 0
    if (u8(packet, 0) ^ mask[0]) & 0x0C:
        return 0                    # the reserved bits, zero under the protection
    number_size = ((u8(packet, 0) ^ mask[0]) & 3) + 1
    if length < number_size + TAG:
        return 0
    memset(start, 0, KEY)
    memcpy(start, keys.nonce, NONCE)
    for i in range(number_size):
        start[NONCE - number_size + i] ^= u8(packet, number_at + i) ^ mask[1 + i]
    start[KEY - 1] = 2              # GCM's counter for the first block of data
    at = number_at + number_size
    body = part(packet, at, length - number_size - TAG)
    size = copy(&body, 0, sealed, PLAIN_MAX)
    if size == 0 or not encrypt(AES_COUNTER, keys.key, start, sealed, <int>size, plain):
        return 0
    return size


def plain_of(uint32_t version, bytes destination, bytes packet, size_t number_at, size_t length):
    """The frames of one Initial of at most PLAIN_MAX bytes, b"" when it cannot be opened."""
    cdef uint8_t[ID_MAX] id_bytes
    cdef uint8_t[PLAIN_MAX] bytes_of, plain
    cdef Cursor id, c
    cdef size_t size
    if len(destination) > ID_MAX or len(packet) > PLAIN_MAX:
        raise ValueError("quic_initial: longer than any")
    memcpy(id_bytes, <const char*>destination, len(destination))
    memcpy(bytes_of, <const char*>packet, len(packet))
    id = over(id_bytes, len(destination))
    c = over(bytes_of, len(packet))
    size = open_initial(version, &id, &c, number_at, length, plain)
    return (<const char*>plain)[:size]
