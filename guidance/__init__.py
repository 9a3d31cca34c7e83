"""What a guided model answer is made of, and ways to change it: functions on tensors, no host.

Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598) makes ``D = U + w (C - U)`` of the
answers to the positive and the negative prompt, ``C`` and ``U``, with ``w`` the cfg. A patch is one
of two things:

* it changes the **answer**: called with a ``Call``, it returns the denoised latent, made of the
  one so far. Patches that say how plain guidance should have been (``APG``, ``CFGZero``) add
  their difference to it; the others (``Rescale``, ``Threshold``, ``Mimic``, ``Temperature``) work
  on whatever it is by then.
* it changes the **cfg** of a call: ``factor(sigma, sigmas)`` multiplies ``w - 1`` (``Interval``,
  ``Curve``, ``Points``).

Each is frozen, checks its numbers, and says by ``neutral`` whether it does nothing at all.
"""

from .apg import APG
from .call import Call
from .cfg_zero import CFGZero
from .rescale import Rescale
from .strength import Curve, Interval, Points
from .temperature import Temperature
from .threshold import Mimic, Threshold

__all__ = [
    "APG", "CFGZero", "Call", "Curve", "Interval", "Mimic", "Points", "Rescale", "Temperature",
    "Threshold",
]
