// SPDX-License-Identifier: Apache-2.0 OR MIT
// The network, images and the logits that belong to them, in read-only memory. Assembled from the
// repository's root.

  .section .rodata.digits, "a"

  .balign 4096
  .global digits_network
digits_network:
  .incbin "data/digits/digits.htpb"
  .global digits_network_end
digits_network_end:

  .global digits_images
digits_images:
  .incbin "data/digits/images.bin", 0, 2048

  .global digits_logits
digits_logits:
  .incbin "data/digits/logits.bin", 0, 320

// Nothing here needs a stack that can be executed.
  .section .note.GNU-stack, "", %progbits
