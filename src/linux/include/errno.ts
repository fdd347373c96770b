// SPDX-License-Identifier: GPL-2.0-only
/** @kernel 6.12 include/uapi/asm-generic/errno-base.h: faithful */
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EBUSY = 16;
export const EINVAL = 22;
