"""Ways from one latent point to another: straight, and along an arc.

interpolate_on_sphere(a, b, steps=10)       # (10, Z), a and b included
"""

import torch


def interpolate_linearly(a: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
    """Walks straight from one latent point (Z,) to another: (steps, Z), both ends included."""
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * a + t * b


def interpolate_on_sphere(a: torch.Tensor, b: torch.Tensor, steps: int) -> torch.Tensor:
    """Walks along an arc from one latent point (Z,) to another: (steps, Z), both ends included.

    Shoemake 1985, "Animating rotation with quaternion curves" ("slerp").

    In many dimensions nearly all of N(0, I) lies near a sphere of radius sqrt(Z). The middle of a
    straight line is inside it, where the generator never learned to draw; the arc stays outside.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    if angle.sin() < 1e-4:  # parallel: there is no arc, or one in every direction
        return interpolate_linearly(a, b, steps)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / angle.sin()
