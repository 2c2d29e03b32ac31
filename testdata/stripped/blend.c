/* A small program whose hot work is inlined twice over: built with -g, then stripped, its debug file
 * kept apart under its build-id. Names, inlined calls and lines must come from that file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline __attribute__((always_inline)) uint32_t mix_channel(uint32_t a, uint32_t b, uint32_t t)
{
    return (a * (255 - t) + b * t) / 255;
}

static inline __attribute__((always_inline)) uint32_t mix_pixel(uint32_t a, uint32_t b, uint32_t t)
{
    uint32_t r = mix_channel(a >> 16 & 255, b >> 16 & 255, t);
    uint32_t g = mix_channel(a >> 8 & 255, b >> 8 & 255, t);
    return r << 16 | g << 8 | mix_channel(a & 255, b & 255, t);
}

static __attribute__((noipa)) void blend_row(uint32_t *row, int width, uint32_t colour)
{
    for (int x = 0; x < width; x++)
        row[x] = mix_pixel(row[x], colour, (uint32_t)x & 255);
}

static __attribute__((noipa)) uint64_t checksum_row(const uint32_t *row, int width)
{
    uint64_t sum = 0;
    for (int x = 0; x < width; x++)
        sum = sum * 31 + row[x];
    return sum;
}

static __attribute__((noipa)) uint64_t render_image(uint32_t *pixels, int width, int height, uint32_t colour)
{
    uint64_t sum = 0;
    for (int y = 0; y < height; y++) {
        blend_row(pixels + (size_t)y * width, width, colour);
        sum += checksum_row(pixels + (size_t)y * width, width);
    }
    return sum;
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 3;
    enum { WIDTH = 640, HEIGHT = 360 };
    uint32_t *pixels = calloc(WIDTH * HEIGHT, sizeof *pixels);
    if (!pixels)
        return 1;
    uint64_t sum = 0;
    time_t end = time(NULL) + seconds;
    for (uint32_t colour = 1; time(NULL) < end; colour = colour * 1664525u + 1013904223u)
        sum += render_image(pixels, WIDTH, HEIGHT, colour);
    printf("%llu\n", (unsigned long long)sum);
    return 0;
}
