"""Cases from outside, drawn at random, against what they must lead to."""
